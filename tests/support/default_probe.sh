# What a container is given by default, a fact a line: run in scow and in docker, and compared (tests/e2e/security/test_docker_defaults.py).
grep -E '^(Umask|State|Uid|Gid|Groups|NoNewPrivs|Seccomp|Seccomp_filters|Cap...|Cpus_allowed_list|Mems_allowed_list):' /proc/self/status | tr -s '\t ' ' ' | sed 's/^/status /'
while read -r source place kind options rest; do echo "mount $place $kind $options"; done < /proc/mounts
find /dev | sort | while read -r p; do stat -c 'device %n %F %t:%T %a %u:%g %N' "$p"; done
for p in /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware /proc/sysrq-trigger /proc/bus /proc/fs /proc/irq /proc/sys /proc/kmsg /proc/kallsyms /proc/mem /sys/kernel/debug /sys/fs/bpf; do
  if test -d $p; then echo "path $p folder $(ls -A $p 2>/dev/null | wc -l) $(touch $p/x 2>&1 | sed 's/.*: //')"; elif test -e $p; then echo "path $p file $(head -c 1 $p 2>/dev/null | wc -c) $( (: >> $p) 2>&1 | sed 's/.*: //')"; else echo "path $p none"; fi
done
tail -n +2 /proc/self/limits | tr -s ' ' | sed 's/^/limit /; s/ $//'
env | sed 's/=.*//' | sort | sed 's/^/env /'
echo "oom $(cat /proc/self/oom_score_adj)"; echo "umask $(umask)"; echo "cwd $(pwd)"; echo "uid_map $(tr -s ' ' < /proc/self/uid_map)"
for s in net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/ip_forward net/ipv6/conf/all/disable_ipv6 kernel/shmmax kernel/msgmax net/core/somaxconn; do echo "sysctl $s $(cat /proc/sys/$s 2>&1)"; done
ls /proc/self/fd | sed 's/^/fd /'
set -- /proc/[0-9]*; echo "processes $#"
ls -ld / /etc /tmp /root /etc/hosts /etc/resolv.conf /etc/hostname /etc/mtab /.dockerenv /sys/fs/cgroup 2>&1 | tr -s ' ' | cut -d' ' -f1,3,4,9- | sed 's/^/ls /'
ip link | grep -c link/ | sed 's/^/links /'
