/* Waits six seconds in every way there is, and prints how long that took by its own clock. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <linux/futex.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static double begun;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct timespec later(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_sec += 6;
    return time;
}

static void begin(void) { begun = now(); }

static void told(const char *name)
{
    printf("%s %.3f\n", name, now() - begun);
    fflush(stdout);
}

#define WAIT(name, ...) begin(); __VA_ARGS__; told(name)

int main(void)
{
    struct timespec six = {6, 0}, until;
    struct timeval six_too = {6, 0};
    uint64_t expirations;
    WAIT("sleep", sleep(6));
    WAIT("usleep", usleep(6000000));
    WAIT("nanosleep", nanosleep(&six, NULL));
    WAIT("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &six, NULL));
    WAIT("clock_nanosleep-until", until = later(CLOCK_MONOTONIC);
         clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
    WAIT("clock_nanosleep-date", until = later(CLOCK_REALTIME);
         clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL));
    WAIT("poll", poll(NULL, 0, 6000));
    WAIT("ppoll", ppoll(NULL, 0, &six, NULL));
    WAIT("select", select(0, NULL, NULL, NULL, &six_too));
    WAIT("pselect", pselect(0, NULL, NULL, NULL, &six, NULL));
    struct epoll_event event;
    int epoll = epoll_create1(0);
    WAIT("epoll_wait", epoll_wait(epoll, &event, 1, 6000));
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec once = {{0, 0}, {6, 0}}, twice = {{3, 0}, {3, 0}};
    WAIT("timerfd", timerfd_settime(timer, 0, &once, NULL); read(timer, &expirations, 8));
    WAIT("timerfd-until", once.it_value = later(CLOCK_MONOTONIC);
         timerfd_settime(timer, TFD_TIMER_ABSTIME, &once, NULL); read(timer, &expirations, 8));
    WAIT("timerfd-interval", timerfd_settime(timer, 0, &twice, NULL); read(timer, &expirations, 8);
         read(timer, &expirations, 8));
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    WAIT("cond_timedwait", until = later(CLOCK_REALTIME); pthread_cond_timedwait(&condition, &mutex, &until));
    WAIT("cond_clockwait", until = later(CLOCK_MONOTONIC);
         pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &until));
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    WAIT("sem_timedwait", until = later(CLOCK_REALTIME); sem_timedwait(&semaphore, &until));
    WAIT("sem_clockwait", until = later(CLOCK_MONOTONIC);
         sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until));
    static int word;
    WAIT("futex", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &six, NULL, 0));
    WAIT("futex-until", until = later(CLOCK_MONOTONIC);
         syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY));
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    bind(sock, (struct sockaddr *)&address, sizeof address);
    six_too = (struct timeval){6, 0};
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &six_too, sizeof six_too);
    WAIT("recv", recv(sock, &expirations, 8, 0));
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct itimerval real = {{0, 0}, {6, 0}};
    WAIT("setitimer", setitimer(ITIMER_REAL, &real, NULL); sigwait(&set, &signal));
    WAIT("alarm", alarm(6); sigwait(&set, &signal));
    WAIT("sigtimedwait", sigtimedwait(&set, NULL, &six));
    WAIT("thrd_sleep", thrd_sleep(&six, NULL));
    return 0;
}
