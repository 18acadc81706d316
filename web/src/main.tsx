import "@fontsource-variable/inter/index.css";
import "@fontsource-variable/jetbrains-mono/index.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/ui.css";
import "./styles/frame.css";
import "./styles/pages.css";
import "./styles/chat.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App, askAhead } from "./app.tsx";
import { applySettings } from "./lib/settings.ts";

applySettings();
askAhead(location.pathname);
const root = document.getElementById("root");
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
