"""Reports on a study: chooses, confirms, reads the test part once, and shows why.

Called, it is :func:`pipeline.api.report`.
"""

from pipeline.callable_module import make_callable

make_callable(__name__)
