"""What the page looks like: the system's own letters, nothing from a network, light and dark."""

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
.status { font-size: 1rem; padding: 10px 2px; min-height: 2.6em; overflow-wrap: anywhere; }
.status .bar { height: 6px; border-radius: 3px; margin-top: 8px; overflow: hidden;
               background: var(--border-color-primary); }
.status .bar i { display: block; height: 100%; background: var(--color-accent); border-radius: 3px;
                 transition: width 0.5s; }
.status .bar i.unknown { width: 30%; animation: to-and-fro 2s ease-in-out infinite alternate; }
.status .error { border-left: 4px solid #dc2626; padding-left: 10px; }
.status .note { color: var(--body-text-color-subdued); font-size: 0.9rem; margin-top: 6px; }
@keyframes to-and-fro { from { margin-left: 0 } to { margin-left: 70% } }
@media (prefers-reduced-motion: reduce) { .status .bar i.unknown { animation: none; width: 100%; opacity: 0.4 } }
#files .label-clear-button { display: none; }
.named [data-testid="block-label"] { position: static; border: 0; background: none; }
.prose table.summary, table.summary { border-collapse: collapse; width: 100%; font-size: 0.92rem; border: 0; }
.prose table.summary tr, table.summary tr { border: 0; background: none; }
.prose table.summary th, .prose table.summary td, table.summary th, table.summary td { text-align: left;
    vertical-align: top; padding: 4px 12px 4px 0; border: 0; border-bottom: 1px solid var(--border-color-primary);
    overflow-wrap: anywhere; }
table.summary th { font-weight: 600; white-space: nowrap; }
"""
