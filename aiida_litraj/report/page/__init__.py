"""The report page: what chains found, gathered into one model, and that model as a page or as files for programs."""
