/* geoweir-init: the first process of the container.
 *
 *   geoweir-init [-s SOCKET] [-w SECONDS] [-a SECONDS] [--] COMMAND [ARGUMENT...]
 *   geoweir-init -H [-s SOCKET]
 *
 * It starts COMMAND, passes signals on to it, reaps every orphan, and ends when COMMAND does, with
 * its exit status (128 + n after signal n). A container engine restarts what has ended, and never
 * what has merely stopped; so it is also what systemd is elsewhere (sd_notify(3)): COMMAND finds
 * NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID in its environment. Once it has said READY=1 it has
 * to say WATCHDOG=1 within each -w seconds (5). Where it doesn't, or says WATCHDOG=trigger, it gets
 * SIGABRT and SIGCONT, so that it writes its stacks even when it was stopped, and SIGKILL -a
 * seconds (2) later; the exit status is never 0 then. Before READY=1 only the time counts that it
 * asked for by EXTEND_TIMEOUT_USEC: a command that says nothing is never ended.
 *
 * -H asks the first process of the same container how the service is: one line, exit 0 when live.
 *
 * Exit status of its own: 1 it can't work, 2 wrong usage, 126 COMMAND can't be started, 127 it is
 * not there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKET "/tmp/geoweir-init.sock"
#define ASK "GEOWEIR=ask"
#define MESSAGE 4096 /* bytes of one datagram that are looked at */
#define STATUS 256   /* bytes of a status text that are kept */
#define MS 1000
#define NEVER INT64_MAX
/* Woken so much later than asked for, it was not the service that stood still, but all of us. */
#define PAUSE_MS (1 * MS)
#define LONGEST_S 3600

enum phase { QUIET, STARTING, READY, STOPPING };

struct service {
    pid_t pid;
    enum phase phase;
    int64_t fed;      /* ms, when it last gave a sign of life */
    int64_t deadline; /* ms, when silence becomes too long; NEVER */
    int64_t killing;  /* ms, when SIGKILL follows SIGABRT; NEVER */
    bool is_given_up;
    char status[STATUS];
};

struct options {
    const char *socket;
    int64_t watchdog; /* ms */
    int64_t abort;    /* ms */
    bool is_asking;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS + now.tv_nsec / 1000000;
}

static int fail(const char *what)
{
    fprintf(stderr, "geoweir-init: %s: %s\n", what, strerror(errno));
    return 1;
}

static int address_of(const char *path, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

/* The health check. */

static int ask(const char *path)
{
    struct sockaddr_un there, here = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 2};
    char answer[MESSAGE];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    /* An address of the kernel's choice, to be answered at. */
    if (fd < 0 || address_of(path, &there) < 0 ||
        bind(fd, (struct sockaddr *)&here, sizeof here.sun_family) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        connect(fd, (struct sockaddr *)&there, sizeof there) < 0 ||
        send(fd, ASK, strlen(ASK), 0) < 0) {
        return fail("not live: no service was started here");
    }
    ssize_t size = recv(fd, answer, sizeof answer - 1, 0);
    if (size < 1) {
        return fail("not live: no answer");
    }
    answer[size] = '\0';
    bool is_live = strncmp(answer, "live", 4) == 0;
    fprintf(is_live ? stdout : stderr, "%s\n", answer);
    return is_live ? 0 : 1;
}

static void tell(int fd, const struct service *service, const struct sockaddr_un *to, socklen_t size)
{
    static const char *const names[] = {"not live: nothing was said yet", "not live: starting",
                                        "live", "live: stopping"};
    char text[STATUS + 64];
    const char *what = service->is_given_up ? "not live: being ended" : names[service->phase];
    int length = snprintf(text, sizeof text, "%s, last sign of life %.1f s ago%s%s", what,
                          (double)(now_ms() - service->fed) / MS, *service->status ? ": " : "",
                          service->status);
    if (length > 0) {
        sendto(fd, text, (size_t)length, MSG_DONTWAIT, (const struct sockaddr *)to, size);
    }
}

/* What the service says. */

static void give_up(struct service *service, const struct options *options, const char *why)
{
    if (service->is_given_up) {
        return;
    }
    fprintf(stderr, "geoweir-init: %s: ending the service, so that it is started again\n", why);
    service->is_given_up = true;
    service->deadline = NEVER;
    service->killing = now_ms() + options->abort;
    kill(service->pid, SIGABRT);
    kill(service->pid, SIGCONT);
}

static void extend(struct service *service, const char *text)
{
    errno = 0;
    char *end;
    uintmax_t usec = strtoumax(text, &end, 10);
    if (errno || *end || end == text || usec > (uintmax_t)LONGEST_S * 1000000) {
        usec = (uintmax_t)LONGEST_S * 1000000;
    }
    service->deadline = now_ms() + (int64_t)(usec / 1000);
}

static void hear_line(struct service *service, const struct options *options, const char *line)
{
    int64_t now = now_ms();
    if (strcmp(line, "WATCHDOG=trigger") == 0) {
        give_up(service, options, *service->status ? service->status : "it says that it is stuck");
    } else if (strncmp(line, "STATUS=", 7) == 0) {
        snprintf(service->status, sizeof service->status, "%s", line + 7);
    } else if (service->is_given_up) {
        return;
    } else if (strcmp(line, "READY=1") == 0) {
        service->phase = READY;
        service->deadline = now + options->watchdog;
    } else if (strcmp(line, "STOPPING=1") == 0) {
        service->phase = STOPPING;
        service->deadline = now + options->watchdog;
    } else if (strcmp(line, "WATCHDOG=1") == 0 && service->phase >= READY) {
        service->deadline = now + options->watchdog;
    } else if (strncmp(line, "EXTEND_TIMEOUT_USEC=", 20) == 0) {
        service->phase = service->phase == QUIET ? STARTING : service->phase;
        extend(service, line + 20);
    }
}

static void hear(int fd, struct service *service, const struct options *options)
{
    char text[MESSAGE + 1];
    union {
        char room[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct sockaddr_un from;
    struct iovec part = {.iov_base = text, .iov_len = MESSAGE};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part,
                             .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    pid_t sender = 0;
    ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (size < 0) {
        return;
    }
    text[size] = '\0';
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof who);
            sender = who.pid;
        }
    }
    if (strcmp(text, ASK) == 0) {
        tell(fd, service, &from, message.msg_namelen);
    } else if (sender == service->pid) { /* a worker must not speak for the service */
        service->fed = now_ms();
        for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
            hear_line(service, options, line);
        }
    }
}

/* Processes. */

static int listen_at(const char *path)
{
    struct sockaddr_un address;
    int on = 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || address_of(path, &address) < 0) {
        return -1;
    }
    unlink(path); /* of an earlier life of this container */
    mode_t before = umask(0177);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(before);
    if (bound < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* In the child; does not return. */
static void become(char **command, const sigset_t *mask, const struct options *options)
{
    char number[32];
    struct rlimit none = {0, 0};

    sigprocmask(SIG_SETMASK, mask, NULL);
    setrlimit(RLIMIT_CORE, &none); /* SIGABRT must not put secrets on a disk */
    snprintf(number, sizeof number, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", number, 1);
    snprintf(number, sizeof number, "%" PRId64, options->watchdog * 1000);
    setenv("WATCHDOG_USEC", number, 1);
    setenv("NOTIFY_SOCKET", options->socket, 1);
    execvp(command[0], command);
    int status = errno == ENOENT ? 127 : 126;
    fail(command[0]);
    _exit(status);
}

static int status_of(int status, bool is_given_up)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return is_given_up && code == 0 ? 1 : code;
}

/* Reaps who has ended; the service's exit status when it is among them, else -1. */
static int reap(const struct service *service)
{
    int status, found = -1;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == service->pid) {
            found = status_of(status, service->is_given_up);
        }
    }
    return found;
}

static void pass_on(int fd, const struct service *service)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            kill(service->pid, (int)info.ssi_signo);
        }
    }
}

static void look_at_clock(struct service *service, const struct options *options, int64_t late)
{
    int64_t now = now_ms();
    if (late > PAUSE_MS && service->deadline != NEVER) {
        service->deadline = now + options->watchdog;
    }
    if (now >= service->deadline) {
        give_up(service, options, "no sign of life");
    }
    if (now >= service->killing) {
        fprintf(stderr, "geoweir-init: it does not end: SIGKILL\n");
        service->killing = NEVER;
        kill(service->pid, SIGKILL);
    }
}

static int watch(int socket, int signals, struct service *service, const struct options *options)
{
    struct pollfd files[] = {{.fd = signals, .events = POLLIN}, {.fd = socket, .events = POLLIN}};

    for (;;) {
        int64_t next = service->deadline < service->killing ? service->deadline : service->killing;
        int64_t before = now_ms();
        int64_t wait = next == NEVER ? -1 : next > before ? next - before : 0;
        int found = poll(files, 2, wait > LONGEST_S * MS ? LONGEST_S * MS : (int)wait);
        if (found < 0 && errno != EINTR) {
            return fail("poll");
        }
        if (files[0].revents) {
            pass_on(signals, service);
            int status = reap(service);
            if (status >= 0) {
                return status;
            }
        }
        for (int left = 64; left > 0 && files[1].revents; left--) {
            hear(socket, service, options);
            files[1].revents = 0;
            poll(&files[1], 1, 0);
        }
        look_at_clock(service, options, wait < 0 ? 0 : now_ms() - before - wait);
    }
}

static int serve(char **command, const struct options *options)
{
    struct service service = {.fed = now_ms(), .deadline = NEVER, .killing = NEVER};
    sigset_t all, before;
    int socket = listen_at(options->socket);

    if (socket < 0) {
        return fail(options->socket);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* where it is not the first process */
    sigfillset(&all);
    sigdelset(&all, SIGTTIN);
    sigdelset(&all, SIGTTOU);
    sigdelset(&all, SIGTSTP);
    sigprocmask(SIG_SETMASK, &all, &before);
    int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) {
        return fail("signalfd");
    }
    service.pid = fork();
    if (service.pid < 0) {
        return fail("fork");
    }
    if (service.pid == 0) {
        become(command, &before, options);
    }
    int status = watch(socket, signals, &service, options);
    unlink(options->socket);
    return status;
}

/* Usage. */

static int usage(void)
{
    fprintf(stderr, "usage: geoweir-init [-s SOCKET] [-w SECONDS] [-a SECONDS] [--] COMMAND...\n"
                    "       geoweir-init -H [-s SOCKET]\n");
    return 2;
}

static int64_t seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return *end == '\0' && end != text && value >= 0.1 && value <= LONGEST_S ? (int64_t)(value * MS)
                                                                              : -1;
}

int main(int argc, char **argv)
{
    struct options options = {.socket = SOCKET, .watchdog = 5 * MS, .abort = 2 * MS};
    int option;

    while ((option = getopt(argc, argv, "+s:w:a:H")) != -1) {
        switch (option) {
        case 's':
            options.socket = optarg;
            break;
        case 'w':
            options.watchdog = seconds(optarg);
            break;
        case 'a':
            options.abort = seconds(optarg);
            break;
        case 'H':
            options.is_asking = true;
            break;
        default:
            return usage();
        }
    }
    if (options.watchdog < 0 || options.abort < 0 || (optind == argc) != options.is_asking) {
        return usage();
    }
    return options.is_asking ? ask(options.socket) : serve(argv + optind, &options);
}
