/** Windows over the page: they hold the focus, close with Escape, and give the focus back. */
import { AlertDialog } from "@base-ui/react/alert-dialog";
import { Dialog as Base } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { useState, type ReactNode } from "react";
import { sentence, unturned } from "../lib/format.ts";
import { Button } from "./button.tsx";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  wide?: boolean;
  children: ReactNode;
}

export function Dialog({ open, onClose, title, wide, children }: DialogProps) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="veil" />
        <Base.Popup className={`dialog stack ${wide ? "wide" : ""}`}>
          <Base.Title>{unturned(title)}</Base.Title>
          {children}
          <Base.Close className="icon-button close" aria-label="Close">
            <X size={18} />
          </Base.Close>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  act: string;
  onConfirm: () => Promise<unknown> | void;
}

/** A question before something that can't be taken back. It stays open, with the reason, where the act fails. */
export function Confirm({ open, onClose, title, children, act, onConfirm }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string | null>(null);
  const confirm = async () => {
    setBusy(true);
    setWrong(null);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setWrong(error instanceof Error ? sentence(error.message) : "It did not work.");
    } finally {
      setBusy(false);
    }
  };
  return (
    <AlertDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="veil" />
        <AlertDialog.Popup className="dialog stack">
          <AlertDialog.Title>{unturned(title)}</AlertDialog.Title>
          <AlertDialog.Description render={<div className="stack soft" />}>{children}</AlertDialog.Description>
          {wrong && <p className="note bad" role="alert">{wrong}</p>}
          <div className="row" style={{ justifyContent: "flex-end" }}>
            <AlertDialog.Close className="button quiet">Cancel</AlertDialog.Close>
            <Button kind="danger" busy={busy} onClick={() => void confirm()}>{unturned(act)}</Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
