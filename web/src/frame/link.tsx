/** Links inside the app that look like buttons. */
import type { ReactNode } from "react";
import { Link } from "wouter";

interface LinkButtonProps {
  to: string;
  label: string;
  className?: string;
  current?: boolean;
  children: ReactNode;
}

export const LinkButton = ({ to, label, className = "", current, children }: LinkButtonProps) => (
  <Link href={to} className={`icon-button ${className}`} aria-label={label} title={label} aria-current={current ? "page" : undefined}>
    {children}
  </Link>
);
