/** Numbers and times in words. Everything that is shown with a unit comes from here. */
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayNameAndYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const plain = new Intl.NumberFormat("en");

export const count = (n: number, one: string, many = `${one}s`): string => `${plain.format(n)} ${n === 1 ? one : many}`;

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Number.POSITIVE_INFINITY, "year"],
];

/** "3 minutes ago". A few seconds are "just now". */
export function ago(at: string, now = Date.now()): string {
  let amount = (Date.parse(at) - now) / 1000;
  if (!Number.isFinite(amount)) return "at an unknown time";
  if (Math.abs(amount) < 10) return "just now";
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
  return "long ago";
}

export const timeOfDay = (at: string): string => clock.format(new Date(at));
export const inFull = (at: string): string => whole.format(new Date(at));
export const dayKey = (at: string): string => new Date(at).toDateString();

export function dayLine(at: string, now = new Date()): string {
  const day = new Date(at);
  const days = Math.round((new Date(now.toDateString()).getTime() - new Date(day.toDateString()).getTime()) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return day.getFullYear() === now.getFullYear() ? dayName.format(day) : dayNameAndYear.format(day);
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1024 && unit < UNITS.length - 1) {
    n /= 1024;
    unit++;
  }
  return unit === 0 ? count(n, "byte") : `${n.toFixed(n < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return count(Math.round(seconds), "second");
  if (seconds < 3600) return count(Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return count(Math.floor(seconds / 3600), "hour");
  return count(Math.floor(seconds / 86_400), "day");
}

/** `14:59`. */
export function countdown(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

export const rtt = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

export const sentence = (text: string): string => {
  const upper = text.charAt(0).toLocaleUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
};

/** "Ada, Bob and 3 others". */
export function names(list: string[], most = 3): string {
  if (list.length <= 1) return list[0] ?? "nobody";
  const shown = list.slice(0, list.length > most ? most - 1 : most);
  const rest = list.length - shown.length;
  if (rest > 0) return `${shown.join(", ")} and ${count(rest, "other")}`;
  return `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}

/** Without the marks that turn text round: in the middle of a sentence of ours a name must turn nothing but itself. */
export const unturned = (text: string): string => text.replaceAll(/[\u202a-\u202e\u2066-\u2069]/g, "");
