// What the page does without the server: filters into the address, themes, and the clipboard.
const LINK = (study, view, filter) => {
  const parts = new URLSearchParams({study, ...(view === "front" ? {} : {view})});
  for (const [of, value] of Object.entries(filter)) {
    parts.append(of, Array.isArray(value) ? value.map(end => end ?? "").join("..") : value.options.join("|"));
  }
  return "?" + parts;
};

const dressed = theme => {
  document.documentElement.dataset.theme = theme;
  return [theme, theme === "dark" ? "Light" : "Dark"];
};

window.dash_clientside = {
  ...window.dash_clientside,
  dashboard: {
    // The filter as {of: [low, high]} or {of: {options}}; open ranges and full choices are left out.
    gather: (lows, highs, chosen, study, view, names, ids, offered, before) => {
      const filter = {};
      lows.forEach((low, index) => {
        const ends = [low, highs[index]].map(end => (Number.isFinite(end) ? end : null));
        if (ends.some(end => end !== null)) filter[names[index]] = ends;
      });
      chosen.forEach((options, index) => {
        if (options.length < offered[index].length) filter[ids[index].of] = {options};
      });
      if (study) history.replaceState(history.state, "", LINK(study, view, filter));
      return JSON.stringify(filter) === JSON.stringify(before) ? window.dash_clientside.no_update : filter;
    },
    clear: (clicks, lows, highs, offered) => {
      if (!clicks) return [lows, highs, offered].map(list => list.map(() => window.dash_clientside.no_update));
      return [lows.map(() => null), highs.map(() => null), offered];
    },
    theme: (clicks, now) => {
      if (!clicks) {
        const kept = localStorage.getItem("neocarbs-theme");
        return dressed(kept ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
      }
      const next = now === "dark" ? "light" : "dark";
      localStorage.setItem("neocarbs-theme", next);
      return dressed(next);
    },
    copy: async (clicks, text) => {
      if (!clicks) return "";
      try {
        await navigator.clipboard.writeText(text);
        return "Copied.";
      } catch {  // a page that is not served from this machine has no clipboard
        getSelection().selectAllChildren(document.getElementById("text"));
        return "Press Ctrl-C to copy the marked text.";
      }
    },
    fold: () => {  // in a narrow window the figures come first
      const narrow = matchMedia("(max-width: 800px)").matches;
      return [!narrow];
    },
  },
};
