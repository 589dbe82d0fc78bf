// The theme that was chosen is set before anything is drawn, so that the page does not flash.
(() => {
  try {
    const theme = localStorage.getItem('theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is refused: then it is as the system has it.
  }
})();
