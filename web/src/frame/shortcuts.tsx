import { singleKeys } from "../lib/settings.ts";
import { Dialog } from "../ui/dialog.tsx";

const KEYS: [string, string[]][] = [
  ["Go anywhere, do anything", ["Ctrl", "K"]],
  ["The same, where nothing is being written", ["/"]],
  ["This list", ["?"]],
  ["People of the space", ["p"]],
  ["Data of the space", ["d"]],
  ["Network", ["n"]],
  ["Settings", [","]],
  ["Send a message", ["Enter"]],
  ["A new line in a message", ["Shift", "Enter"]],
  ["Edit your last message", ["Up"]],
  ["Go through the messages, then act on one", ["Up", "Down"]],
  ["Close what is open", ["Esc"]],
];

export default function Shortcuts({ onClose }: { onClose: () => void }) {
  return (
    <Dialog open onClose={onClose} title="Keys">
      <dl className="facts wide">
        {KEYS.map(([what, keys]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd className="row">{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dd>
          </div>
        ))}
      </dl>
      {!singleKeys() && <p className="soft small">Those of a single sign are switched off in the settings.</p>}
    </Dialog>
  );
}
