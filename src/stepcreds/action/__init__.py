"""The GitHub Action's half in Python: its inputs become what the command line would have asked for."""
