// What the page does without the server: filters into the address, themes, and the clipboard.
const LINK = (study, view, filter) => {
  const parts = new URLSearchParams({study, ...(view === "front" ? {} : {view})});
  for (const [of, value] of Object.entries(filter)) {
    parts.append(of, Array.isArray(value) ? value.map(end => end ?? "").join("..") : value.options.join("|"));
  }
  return "?" + parts;
};

// A DOM element; texts are set as texts, whatever markup they look like.
const element = (tag, properties, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    name in made ? (made[name] = value) : made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

const set = (id, data) => window.dash_clientside.set_props(id, {data});

const heading = (column, state) => {
  const here = column.of === state.sort;
  const text = column.name + (here ? (state.down ? " ▼" : " ▲") : "");
  const sort = () => set("table-state", {sort: column.of, down: here ? !state.down : true, page: 0});
  const button = element("button", {className: "plain", onclick: sort, "data-key": "sort " + column.of}, text);
  return element("th", {scope: "col", "aria-sort": here ? (state.down ? "descending" : "ascending") : "none"}, button);
};

const line = ({number, status, cells}) => {
  const button = element("button", {onclick: () => set("chosen", number), "aria-label": "Trial " + number,
                                    "data-key": "trial " + number}, String(number));
  const others = cells.slice(1).map((text, index) =>
    element("td", {className: index === 0 || index === cells.length - 2 ? "text" : ""}, text));
  return element("tr", {className: status}, element("td", {}, button), ...others);
};

const pager = ({said, state, pages}) => {
  const turn = (text, by, off) => element("button", {disabled: off, "data-key": text,
    onclick: () => set("table-state", {...state, page: state.page + by})}, text);
  return element("div", {className: "bar"}, element("span", {id: "count", role: "status"}, said),
    turn("Back", -1, state.page === 0), element("span", {}, `page ${state.page + 1} of ${pages}`),
    turn("Next", 1, state.page === pages - 1));
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
    // Empty the number fields as a person does: Dash would write "NaN" into them.
    clear: (clicks, offered) => {
      if (!clicks) return offered.map(() => window.dash_clientside.no_update);
      const empty = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
      document.querySelectorAll("#filters input[type=number]").forEach(field => {
        empty.call(field, "");
        field.dispatchEvent(new Event("input", {bubbles: true}));
      });
      return offered;
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
    table: shown => {
      const place = document.getElementById("table");
      if (!shown) return "";
      const held = document.activeElement?.dataset?.key;  // whoever goes by keys stays where they are
      const scrolled = place.querySelector(".scroll")?.scrollLeft ?? 0;
      const box = element("div", {className: "scroll", tabIndex: 0, role: "region", "aria-label": "Table of trials"},
        element("table", {},
          element("thead", {}, element("tr", {}, ...shown.columns.map(column => heading(column, shown.state)))),
          element("tbody", {}, ...shown.rows.map(line))));
      place.replaceChildren(element("h2", {}, "Trials"), pager(shown), box);
      box.scrollLeft = scrolled;
      if (held) [...place.querySelectorAll("button")].find(button => button.dataset.key === held)?.focus();
      return "yes";
    },
    first_page: (filter, state) => ({...state, page: 0}),
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
    fold: () => !matchMedia("(max-width: 800px)").matches,  // in a narrow window the figures come first
  },
};
