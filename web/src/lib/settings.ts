/** The choices of this browser: how it looks, and what it tells about. */
import { follow, read, useStored, write } from "./store.ts";

export type Theme = "system" | "light" | "dark";
export type Density = "comfortable" | "compact";

const dark = () => window.matchMedia("(prefers-color-scheme: dark)");
const theme = (): Theme => {
  const stored = read("theme");
  return stored === "light" || stored === "dark" ? stored : "system";
};

function apply(): void {
  const wanted = theme();
  const isDark = wanted === "dark" || (wanted === "system" && dark().matches);
  const root = document.documentElement;
  root.dataset["theme"] = isDark ? "dark" : "light";
  root.dataset["density"] = read("density") === "compact" ? "compact" : "comfortable";
}

/** Before the first paint, and then whenever the choice, the system or another tab changes it. */
export function applySettings(): void {
  apply();
  dark().addEventListener("change", apply);
  follow("theme", apply);
  follow("density", apply);
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  useStored("theme");
  return [theme(), (next) => write("theme", next === "system" ? null : next)];
}

export function useDensity(): [Density, (density: Density) => void] {
  const [stored] = useStored("density");
  return [stored === "compact" ? "compact" : "comfortable", (next) => write("density", next)];
}

/** Whether single letters do something by themselves. Who speaks to their machine, or hits keys by accident, wants none of it. */
export const singleKeys = (): boolean => read("keys") !== "off";

export function useSingleKeys(): [boolean, (on: boolean) => void] {
  useStored("keys");
  return [singleKeys(), (on) => write("keys", on ? null : "off")];
}
