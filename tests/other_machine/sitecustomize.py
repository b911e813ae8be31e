"""Python as it is on another machine, for ``make anywhere``: this folder is on PYTHONPATH, and OTHER_MACHINE names it.

With ``darwin`` a Mac: no /proc, not the functions and constants that only Linux has. With ``aarch64`` an Arm processor
that says that it computes bfloat16.
"""

import fcntl
import mmap
import os
import platform
import sys
import sysconfig
import types

MACHINE = os.environ["OTHER_MACHINE"]


def _refuse_proc(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


if MACHINE == "aarch64":
    platform.machine = lambda: MACHINE
else:
    proxies = types.ModuleType("_scproxy")  # the module of macOS that urllib asks
    proxies._get_proxies = proxies._get_proxy_settings = dict
    sys.modules["_scproxy"] = proxies
    sys.addaudithook(_refuse_proc)
    fcntl.F_FULLFSYNC = 51  # refused here, as by a network's file system
    del os.sched_getaffinity, mmap.MADV_HUGEPAGE
    sysconfig.get_config_vars()  # read from a file that is named by the platform
    sys.platform = MACHINE
