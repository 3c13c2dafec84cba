"""What a build says about itself to other tools: one file for each tool's conventions."""
