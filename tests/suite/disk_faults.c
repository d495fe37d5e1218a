// Preloaded into the program: a disk that refuses. While the file that DISK_FAULT names exists, calls on files whose path
// contains a word fail. The file says "CALLS ERRNO WORD": CALLS is `w` for writes or `s` for syncs. The first call that
// fails makes a second file, of the same name with `.hit` behind it, so that tests know the moment.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int refused(char call, int fd) {
    const char *control = getenv("DISK_FAULT");
    if (!control) return 0;
    int file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    char line[128], calls = 0, word[64] = "", link[64], path[PATH_MAX];
    int number = 0;
    ssize_t length = syscall(SYS_read, file, line, sizeof line - 1);
    syscall(SYS_close, file);
    if (length <= 0) return 0;
    line[length] = 0;
    if (sscanf(line, "%c %d %63s", &calls, &number, word) != 3 || calls != call) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!strstr(path, word)) return 0;
    snprintf(path, sizeof path, "%s.hit", control);
    int hit = syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (hit >= 0) syscall(SYS_close, hit);
    return number;
}

static long answer(char call, int fd, long number, long a, long b, long c) {
    int before = errno, refusal = refused(call, fd);
    errno = before;
    if (refusal) {
        errno = refusal;
        return -1;
    }
    return syscall(number, fd, a, b, c);
}

ssize_t write(int fd, const void *bytes, size_t count) { return answer('w', fd, SYS_write, (long)bytes, count, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return answer('w', fd, SYS_pwrite64, (long)bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return answer('w', fd, SYS_pwrite64, (long)bytes, count, at);
}
int fsync(int fd) { return answer('s', fd, SYS_fsync, 0, 0, 0); }
int fdatasync(int fd) { return answer('s', fd, SYS_fdatasync, 0, 0, 0); }
