/* Attempts from inside of a container, each a subcommand. What succeeds is printed, a line each; nothing printed means that all was
 * refused. Exit code 0: the attempts were made.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

/* Files below a folder that can be opened for writing; nothing is written. Magic links are not followed. */
static void writable(const char *folder, int depth) {
    DIR *directory = opendir(folder);
    struct dirent *entry;
    char path[4096];
    if (directory == NULL || depth > 12) {
        if (directory != NULL)
            closedir(directory);
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_type == DT_DIR)
            writable(path, depth + 1);
        else if (entry->d_type == DT_REG) {
            int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
            if (fd >= 0) {
                printf("%s\n", path);
                close(fd);
            }
        }
    }
    closedir(directory);
}

/* Opens nodes of every kind of device with low numbers, except for those that every container has. */
static void devices(void) {
    static const char *path = "/escape-node";
    for (int kind = 0; kind < 2; kind++)
        for (int major = 1; major < 260; major++)
            for (int minor = 0; minor < (major < 12 ? 256 : 4); minor++) {
                if (kind == 0 && ((major == 1 && (minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9)) ||
                                  (major == 5 && minor <= 2) || (major >= 136 && major < 144)))
                    continue;
                unlink(path);
                if (mknod(path, (kind ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor)) != 0)
                    continue;
                for (int mode = 0; mode < 3; mode++) {
                    int fd = open(path, (mode == 0 ? O_RDONLY : mode == 1 ? O_WRONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY);
                    /* The list is asked first: a device that is not there is another error. */
                    if (fd >= 0 || errno != EPERM)
                        printf("%c %d:%d %d\n", kind ? 'b' : 'c', major, minor, mode);
                    if (fd >= 0)
                        close(fd);
                }
            }
    unlink(path);
}

static void said(const char *what, long result) {
    if (result >= 0 || (errno != EPERM && errno != EACCES && errno != ENOSYS))
        printf("%s: %s\n", what, result >= 0 ? "done" : strerror(errno));
}

/* Namespaces, mounts and keys under the default profile. */
static void kernel(void) {
    static const struct {
        const char *name;
        unsigned long flag;
    } flags[] = {
        {"mount", CLONE_NEWNS},   {"uts", CLONE_NEWUTS},       {"ipc", CLONE_NEWIPC},   {"user", CLONE_NEWUSER},
        {"pid", CLONE_NEWPID},    {"network", CLONE_NEWNET},   {"cgroup", CLONE_NEWCGROUP},
    };
    char text[64];
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        snprintf(text, sizeof text, "unshare %s", flags[i].name);
        said(text, unshare(flags[i].flag));
        snprintf(text, sizeof text, "clone %s", flags[i].name);
        long child = syscall(SYS_clone, flags[i].flag | 17, 0, 0, 0, 0);
        if (child == 0)
            _exit(0);
        said(text, child);
    }
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = 17};
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0)
        _exit(0);
    said("clone3", child);
    int own = open("/proc/self/ns/uts", O_RDONLY);
    said("setns", setns(own, 0));
    said("mount tmpfs", mount("x", "/tmp", "tmpfs", 0, ""));
    said("remount", mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, ""));
    said("umount", umount2("/proc/keys", MNT_DETACH));
    said("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    said("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    said("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0));
    said("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    said("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, "", O_RDONLY));
    said("add_key", syscall(SYS_add_key, "user", "escape", "x", 1, -4));
    said("request_key", syscall(SYS_request_key, "user", "escape", NULL, 0));
    said("keyctl", syscall(SYS_keyctl, 0, -4, 0));
    said("bpf", syscall(SYS_bpf, 0, NULL, 0));
    said("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    said("userfaultfd", syscall(SYS_userfaultfd, 0));
    said("io_uring_setup", syscall(SYS_io_uring_setup, 1, NULL));
    said("init_module", syscall(SYS_init_module, NULL, 0, ""));
    said("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    said("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
    said("acct", syscall(SYS_acct, "/"));
    said("swapon", syscall(SYS_swapon, "/", 0));
    said("iopl", syscall(SYS_iopl, 3));
    said("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
    said("syslog", syscall(SYS_syslog, 3, text, sizeof text));
    said("vhangup", syscall(SYS_vhangup));
}

/* Reaches for another process. */
static void process(long pid) {
    char text[64], byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    said("ptrace", syscall(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0));
    said("kcmp", syscall(SYS_kcmp, getpid(), pid, 0, 0, 0));
    said("process_vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
    said("pidfd_getfd", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), 0, 0));
    static const char *files[] = {"mem", "environ", "root/etc/passwd", "cwd/.", "exe", "fd/0", "ns/mnt"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(text, sizeof text, "/proc/%ld/%s", pid, files[i]);
        said(files[i], open(text, O_RDONLY | O_NONBLOCK));
    }
}

/* Types into the terminal that this process has from the engine. */
static void type(void) {
    char line[] = {3, 0};
    said("TIOCSTI", ioctl(0, TIOCSTI, "x"));
    /* A number with high bits is the same request for the kernel (CVE-2019-7303). */
    said("TIOCSTI with high bits", syscall(SYS_ioctl, 0, TIOCSTI | 1UL << 32, "x"));
    if (ioctl(0, TIOCLINUX, line) >= 0)
        printf("TIOCLINUX: done\n");
}

int main(int count, char **words) {
    if (count < 2)
        return 2;
    if (strcmp(words[1], "writable") == 0)
        for (int i = 2; i < count; i++)
            writable(words[i], 0);
    else if (strcmp(words[1], "devices") == 0)
        devices();
    else if (strcmp(words[1], "kernel") == 0)
        kernel();
    else if (strcmp(words[1], "process") == 0 && count > 2)
        process(atol(words[2]));
    else if (strcmp(words[1], "type") == 0)
        type();
    else if (strcmp(words[1], "uids") == 0)
        printf("%d %d\n", getuid(), geteuid());
    else
        return 2;
    return 0;
}
