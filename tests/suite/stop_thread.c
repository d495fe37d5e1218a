// Stops one thread of another process, as a debugger does, while the others run on; its id is the argument. Says so in a line,
// and ends when the thread is gone. Should this end first, the thread runs on.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

int main(int count, char **words) {
    pid_t thread = count > 1 ? atoi(words[1]) : 0;
    int status;
    if (ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0)
        || waitpid(thread, &status, __WALL) != thread) {
        perror("it cannot be stopped");
        return 1;
    }
    puts("stopped");
    fflush(stdout);
    // Nobody but who traces it can take note that it is gone, and its process is not gone before.
    while (waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status)) {}
    return 0;
}
