"""What is due and why (`plan`), and doing it (`run`)."""
