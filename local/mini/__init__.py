"""The built-in experiment: a corpus that is made at run time and the small model that plays the released one."""
