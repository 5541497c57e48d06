/* Asks the kernel what the seccomp filters of this process say to system calls, without making them.
 *
 * Standard input has lines "ABI NUMBER ARGUMENT" (ABI: 0 x86-64 and x32, by the number's bit; 1 i386 by int 0x80); for
 * each the output has a line: 0 where the call would be made, or the errno of the filter.
 *
 * How: a filter of the probe's own gives SECCOMP_RET_TRACE for calls whose sixth argument is the mark. The kernel takes
 * the strictest answer of all filters: an errno of the container's filter wins, and only calls that it allows come to
 * the tracer, which makes the kernel skip them.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 0x5c0b
#define ALLOWED 4000 /* an errno that no call has */

static long call64(long number, long argument) {
    long result;
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = MARK;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(argument), "S"(0), "d"(0), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static long call32(long number, long argument) {
    int result;
    __asm__ volatile("push %%rbp\n\tmov %[mark], %%ebp\n\tint $0x80\n\tpop %%rbp"
                     : "=a"(result)
                     : "a"((int)number), "b"((int)argument), "c"(0), "d"(0), "S"(0), "D"(0), [mark] "i"(MARK)
                     : "r8", "r9", "r10", "r11", "memory");
    return result;
}

static int ask(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    int abi;
    long number, argument;

    if (ptrace(PTRACE_TRACEME, 0, 0, 0) || raise(SIGSTOP) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("probe");
        return 1;
    }
    while (scanf("%d %li %li", &abi, &number, &argument) == 3) {
        long result = abi ? call32(number, argument) : call64(number, argument);
        printf("%ld\n", result == -ALLOWED ? 0 : -result);
    }
    return 0;
}

int main(void) {
    int status;
    pid_t child = fork();

    if (child == 0)
        return ask();
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status);
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
            ptrace(PTRACE_POKEUSER, child, sizeof(long) * ORIG_RAX, -1L);
            ptrace(PTRACE_POKEUSER, child, sizeof(long) * RAX, (long)-ALLOWED);
            signal = 0;
        } else if (signal == SIGSTOP) {
            ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
            signal = 0;
        }
        ptrace(PTRACE_CONT, child, 0, signal);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
