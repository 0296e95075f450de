// The plain status page: one request a second, the next only when the last is done, none while
// the page is hidden. Text from the service is only ever set as textContent.

const ROWS = [
  ["received", "received", "sum"],
  ["published", "● published", ""],
  ["filtered", "○ filtered", ""],
  ["rejected", "◆ rejected", ""],
  ["reconciled", "▲ reconciled", ""],
  ["in_flight", "◌ in flight", ""],
  ["redelivered", "redelivered by the broker", ""],
];
const SHAPE = { rejected: "◆", reconciled: "▲" };
const EVERY_MS = 1000;
const SLOWEST_MS = 10000;
const PATIENCE_MS = 5000;
const SPEAK_EVERY_MS = 10000;

/** An answer of the service that is no overview; its message is for people. */
class Refusal extends Error {}

const token = new URLSearchParams(location.hash.slice(1)).get("token");
const number = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const at = (id) => document.getElementById(id);

let cells = new Map();
let shownStreams = "";
let wait = EVERY_MS;
let answered = Date.now();
let spoken = 0;
let timer = 0;
let isAsking = false;

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function show(id, text) {
  const element = at(id);
  element.hidden = !text;
  if (element.textContent !== text) element.textContent = text;
}

function buildTable(names) {
  cells = new Map();
  at("streams").replaceChildren(
    make("th", "inputs", { scope: "col" }),
    ...names.map((name) => make("th", name, { scope: "col" })),
  );
  at("counts").replaceChildren(
    ...ROWS.map(([key, label, kind]) => {
      const row = make("tr", "", { class: kind });
      row.append(make("th", label, { scope: "row" }));
      for (const name of names) {
        const cell = make("td", "");
        cells.set(`${key} ${name}`, cell);
        row.append(cell);
      }
      return row;
    }),
  );
}

function showAccount(account) {
  const names = Object.keys(account.streams);
  const shape = JSON.stringify(names);
  if (shape !== shownStreams) {
    buildTable(names);
    shownStreams = shape;
  }
  for (const name of names) {
    for (const [key] of ROWS) {
      cells.get(`${key} ${name}`).textContent = number.format(account.streams[name][key]);
    }
  }
  const isBalanced = account.unaccounted === 0;
  at("balance").textContent = isBalanced
    ? "balanced ✓ unaccounted 0"
    : `unaccounted ${number.format(account.unaccounted)}: this is a bug of geoweir, please report it`;
  at("balance").classList.toggle("off", !isBalanced);
  speak(account, isBalanced);
}

function speak(account, isBalanced) {
  if (Date.now() - spoken < SPEAK_EVERY_MS) return;
  spoken = Date.now();
  const total = (key) => Object.values(account.streams).reduce((sum, s) => sum + s[key], 0);
  at("spoken").textContent =
    `${number.format(total("received"))} received, ${number.format(total("published"))} published, ` +
    (isBalanced ? "balanced" : `${account.unaccounted} unaccounted`);
}

function since(unix) {
  return clock.format(new Date(unix * 1000));
}

function showRecent(recent) {
  if (!recent.length) {
    at("recent").replaceChildren(make("li", "none so far"));
    return;
  }
  at("recent").replaceChildren(
    ...recent.map((drop) => {
      const item = make("li", "");
      const moment = make("time", since(drop.at), {
        datetime: new Date(drop.at * 1000).toISOString(),
      });
      const shape = SHAPE[drop.outcome] ?? "";
      const detail = drop.detail ? `: ${drop.detail}` : "";
      item.append(
        moment,
        ` ${shape} ${drop.outcome} ${number.format(drop.n)} of ${drop.stream}, ${drop.reason}${detail}`,
      );
      return item;
    }),
  );
}

function showConnections(connections) {
  at("connections").replaceChildren(
    ...connections.map((link) => {
      const what = link.direction === "out" ? "out" : `in, ${link.stream}`;
      const state = link.up ? "● connected" : "○ not connected";
      const why = link.up || !link.detail ? "" : `: ${link.detail}`;
      const text = `${what}: ${state} to ${link.address} since ${since(link.since)}${why}`;
      return make("li", text, { class: link.up ? "" : "down" });
    }),
  );
}

function showService(overview) {
  at("service").textContent =
    `${overview.version}, ${overview.state}, up since ${new Date(overview.started * 1000).toLocaleString()}`;
  show("notice", overview.notice);
  showConnections(overview.connections);
  at("workers").textContent =
    Object.entries(overview.workers)
      .filter(([, count]) => count > 0)
      .map(([state, count]) => `${count} ${state}`)
      .join(", ") || "none";
  const { messages, limit } = overview.queue;
  at("queue").max = limit;
  at("queue").value = messages;
  at("queued").textContent = `${number.format(messages)} of ${number.format(limit)} messages`;
  at("lag").textContent = `${(overview.loop_lag_p99_s * 1000).toFixed(1)} ms`;
}

async function ask() {
  const answer = await fetch("api/overview", {
    cache: "no-store",
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (answer.status === 401) {
    throw new Refusal("This page needs the token: add #token=TOKEN to its address, then reload.");
  }
  if (!answer.ok) throw new Refusal(`The service answered ${answer.status}.`);
  return answer.json();
}

function lost(error) {
  const seconds = Math.round((Date.now() - answered) / 1000);
  wait = Math.min(SLOWEST_MS, wait * 2);
  if (seconds < 3) return;
  const why = error instanceof Refusal ? error.message : "The service does not answer.";
  show("lost", `${why} What you see is ${seconds} s old.`);
  document.body.classList.add("stale");
}

async function turn() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  try {
    const overview = await ask();
    answered = Date.now();
    wait = EVERY_MS;
    show("lost", "");
    document.body.classList.remove("stale");
    showAccount(overview.account);
    showService(overview);
    showRecent(overview.recent);
  } catch (error) {
    lost(error);
  }
  isAsking = false;
  const jitter = wait > EVERY_MS ? Math.random() * wait * 0.3 : 0;
  if (!document.hidden) timer = setTimeout(turn, wait + jitter);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
  } else {
    turn();
  }
});
turn();
