"""One file a job: read the inputs, plan, run, settle. The face of the library and the command line call these."""
