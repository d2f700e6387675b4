"""One module per group of pages: what was asked, who answers it, and which page shows the answer."""
