"""Which system calls a container may make: Docker's default policy, as data.

The policy allows by name; everything else fails with EPERM. What is left out is what would reach beyond the
container or give code on the host's kernel a handle: loading modules, keyrings, io_uring, userfaultfd,
swapping, clocks, namespaces. Names that a kernel or libseccomp does not know are passed over by the shim. Names of
32-bit variants are there because an x86-64 or arm64 kernel also runs 32-bit programs.
"""

from __future__ import annotations

# Always allowed, by what they are about.
_ALWAYS = (
    # Files: open, read, write.
    """
    open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev pwrite64
    pwritev pwritev2 lseek _llseek dup dup2 dup3 fcntl fcntl64 ioctl flock pipe pipe2 splice tee vmsplice
    sendfile sendfile64 copy_file_range readahead fadvise64 fadvise64_64 fallocate truncate truncate64
    ftruncate ftruncate64 fsync fdatasync sync syncfs sync_file_range cachestat
    """
    # Files: names and what is known about them.
    """
    stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64
    access faccessat faccessat2 chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat
    lchown lchown32 utime utimes utimensat utimensat_time64 futimesat umask link linkat symlink symlinkat
    readlink readlinkat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat chdir
    fchdir getcwd getdents getdents64 name_to_handle_at getxattr lgetxattr fgetxattr getxattrat setxattr
    lsetxattr fsetxattr setxattrat listxattr llistxattr flistxattr listxattrat removexattr lremovexattr
    fremovexattr removexattrat
    """
    # Waiting for files, and being told of changes.
    """
    poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl
    epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4
    inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark io_setup io_submit
    io_getevents io_pgetevents io_pgetevents_time64 io_cancel io_destroy
    """
    # Processes and threads.
    """
    execve execveat fork vfork exit exit_group wait4 waitid waitpid kill tkill tgkill pidfd_open
    pidfd_send_signal prctl seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
    getpid getppid gettid getpgid getpgrp setpgid getsid setsid set_tid_address set_thread_area
    get_thread_area set_robust_list get_robust_list futex futex_time64 futex_waitv futex_wait futex_wake
    futex_requeue rseq membarrier getcpu restart_syscall process_mrelease
    """
    # Who a process is, and what it may use.
    """
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid
    getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid
    setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32
    setgroups setgroups32 capget capset getrlimit ugetrlimit setrlimit prlimit64 getrusage getpriority
    setpriority ioprio_get ioprio_set sched_yield sched_getaffinity sched_setaffinity sched_getattr
    sched_setattr sched_getparam sched_setparam sched_getscheduler sched_setscheduler
    sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64
    """
    # Signals.
    """
    pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
    """
    # Memory.
    """
    brk mmap mmap2 munmap mprotect mremap msync madvise mincore mlock mlock2 mlockall munlock munlockall
    mseal memfd_create memfd_secret remap_file_pages pkey_alloc pkey_free pkey_mprotect map_shadow_stack
    """
    # Sockets; `socket` itself has a condition.
    """
    socketcall socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt
    setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
    """
    # System V and POSIX interprocess communication.
    """
    ipc msgget msgsnd msgrcv msgctl semget semop semctl semtimedop semtimedop_time64 shmget shmat shmdt
    shmctl mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive
    mq_timedreceive_time64
    """
    # Time; changing a clock further needs CAP_SYS_TIME, which the kernel checks.
    """
    time times gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep
    clock_nanosleep_time64 nanosleep alarm getitimer setitimer adjtimex clock_adjtime clock_adjtime64
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
    """
    # The rest, and what lets one process look into another of the same user (safe since Linux 4.8).
    """
    uname sysinfo getrandom ptrace process_vm_readv process_vm_writev
    """
)
ALWAYS = frozenset(_ALWAYS.split())

# Further ones on one machine ("x86_64" and "aarch64" as uname(2) names them).
BY_MACHINE = {
    "x86_64": ("arch_prctl", "modify_ldt"),
    "aarch64": (
        "arm_fadvise64_64",
        "arm_sync_file_range",
        "breakpoint",
        "cacheflush",
        "set_tls",
        "sync_file_range2",
    ),
}

# Programs for which architectures the filter lets pass, the machine's own first.
ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}

# Further ones with a capability, which guards them in the kernel as well.
BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
        "move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
        "umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

# CLONE_NEW* flags of clone(2) but CLONE_NEWTIME, which shares its bit with the exit signal.
NAMESPACE_FLAGS = 0x7E020000
# Address family of sockets to the hypervisor and to other virtual machines: they know no namespaces (vsock(7)).
AF_VSOCK = 40
# Execution domains of personality(2): PER_LINUX, PER_LINUX32, both with UNAME26, and the query.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
ENOSYS = 38
