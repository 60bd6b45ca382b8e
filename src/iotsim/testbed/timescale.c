/* What libfaketime leaves in real time, for a gateway whose clock runs faster.
 *
 * It is preloaded before libfaketime, which fakes the clocks themselves, and most waits that end after a
 * while. Here are those that it passes on as they are (the waits with a clock of their own of glibc 2.30 and
 * later, futexes, timeouts of sockets, interval timers), those that it gets wrong (absolute times of timers),
 * and those that it rounds to milliseconds of real time, which are many of the gateway's.
 *
 * A wait until a moment of the faked clock is turned into one until a moment of the real clock; the C library
 * is asked by its own name, so that no wait is scaled twice. IOTSIM_SPEED has the factor.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define FOREVER (INT64_MAX / 4)

static double speed(void)
{
    static double known;
    if (known == 0) {
        const char *text = getenv("IOTSIM_SPEED");
        double factor = 0;
        /* By hand: strtod would heed the program's locale. */
        double place = 0;
        for (; text && *text; text++) {
            if (*text == '.')
                place = 1;
            else if (*text >= '0' && *text <= '9') {
                factor = factor * 10 + (*text - '0');
                place *= 10;
            }
        }
        if (place > 0)
            factor /= place;
        known = factor > 0 ? factor : 1;
    }
    return known;
}

static void *in_libc(const char *name)
{
    static void *libc;
    if (!libc)
        libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *found = libc ? dlsym(libc, name) : NULL;
    return found ? found : dlsym(RTLD_NEXT, name);
}

/* `real` is the C library's function of this name. */
#define REAL(name)                        \
    static __typeof__(&name) real;        \
    if (!real)                            \
        real = (__typeof__(&name))in_libc(#name)

/* `next` is libfaketime's function of this name. */
#define NEXT(name)                        \
    static __typeof__(&name) next;        \
    if (!next)                            \
        next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int64_t nanoseconds(const struct timespec *time)
{
    if (time->tv_sec > FOREVER / SECOND)
        return FOREVER;
    return time->tv_sec * SECOND + time->tv_nsec;
}

static struct timespec timespec_of(int64_t time)
{
    if (time < 0)
        time = 0;
    return (struct timespec){time / SECOND, time % SECOND};
}

/* Of the faked clock's nanoseconds, how many of the real one's; rounded up, so that no wait is too short. */
static int64_t shorter(int64_t time)
{
    return time <= 0 ? 0 : (int64_t)((double)time / speed()) + 1;
}

static int64_t longer(int64_t time)
{
    double scaled = (double)time * speed();
    return scaled > (double)FOREVER ? FOREVER : (int64_t)scaled;
}

static int64_t faked_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return nanoseconds(&now);
}

static int64_t real_now(clockid_t clock)
{
    REAL(clock_gettime);
    struct timespec now;
    real(clock, &now);
    return nanoseconds(&now);
}

/* The moment of the real clock for one of the faked clock. */
static struct timespec moment(clockid_t clock, const struct timespec *faked)
{
    int64_t ahead = nanoseconds(faked) - faked_now(clock);
    return timespec_of(real_now(clock) + (ahead > 0 ? shorter(ahead) : ahead));
}

static int is_valid(const struct timespec *time)
{
    return time && time->tv_nsec >= 0 && time->tv_nsec < SECOND;
}

/* --- clocks of the processor, which do not run faster ------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID || clock < 0) {
        REAL(clock_gettime);
        return real(clock, time);
    }
    NEXT(clock_gettime);
    return next(clock, time);
}

/* --- until a moment ---------------------------------------------------------------------------------- */

#define UNTIL(name, clock, parameters, ...)            \
    int name parameters                                \
    {                                                  \
        REAL(name);                                    \
        struct timespec scaled;                        \
        if (is_valid(until)) {                         \
            scaled = moment(clock, until);             \
            until = &scaled;                           \
        }                                              \
        return real(__VA_ARGS__);                      \
    }

UNTIL(sem_clockwait, clock, (sem_t *sem, clockid_t clock, const struct timespec *until), sem, clock, until)
UNTIL(sem_timedwait, CLOCK_REALTIME, (sem_t *sem, const struct timespec *until), sem, until)
UNTIL(pthread_cond_clockwait, clock,
      (pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until),
      cond, mutex, clock, until)
UNTIL(pthread_mutex_timedlock, CLOCK_REALTIME, (pthread_mutex_t *mutex, const struct timespec *until), mutex,
      until)
UNTIL(pthread_mutex_clocklock, clock, (pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until),
      mutex, clock, until)
UNTIL(pthread_rwlock_timedrdlock, CLOCK_REALTIME, (pthread_rwlock_t *lock, const struct timespec *until), lock,
      until)
UNTIL(pthread_rwlock_timedwrlock, CLOCK_REALTIME, (pthread_rwlock_t *lock, const struct timespec *until), lock,
      until)
UNTIL(pthread_rwlock_clockrdlock, clock,
      (pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until), lock, clock, until)
UNTIL(pthread_rwlock_clockwrlock, clock,
      (pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until), lock, clock, until)
UNTIL(pthread_timedjoin_np, CLOCK_REALTIME, (pthread_t thread, void **result, const struct timespec *until),
      thread, result, until)
UNTIL(pthread_clockjoin_np, clock,
      (pthread_t thread, void **result, clockid_t clock, const struct timespec *until), thread, result, clock,
      until)
UNTIL(mtx_timedlock, CLOCK_REALTIME, (mtx_t * mutex, const struct timespec *until), mutex, until)
UNTIL(cnd_timedwait, CLOCK_REALTIME, (cnd_t * cond, mtx_t *mutex, const struct timespec *until), cond, mutex,
      until)

ssize_t mq_timedreceive(mqd_t queue, char *data, size_t size, unsigned *priority, const struct timespec *until)
{
    REAL(mq_timedreceive);
    struct timespec scaled;
    if (is_valid(until)) {
        scaled = moment(CLOCK_REALTIME, until);
        until = &scaled;
    }
    return real(queue, data, size, priority, until);
}

UNTIL(mq_timedsend, CLOCK_REALTIME,
      (mqd_t queue, const char *data, size_t size, unsigned priority, const struct timespec *until), queue, data,
      size, priority, until)

/* --- timers: absolute times, as times from now, which libfaketime scales ------------------------------ */

static struct itimerspec from_now(clockid_t clock, const struct itimerspec *timer)
{
    struct itimerspec relative = *timer;
    if (timer->it_value.tv_sec || timer->it_value.tv_nsec) {
        int64_t ahead = nanoseconds(&timer->it_value) - faked_now(clock);
        relative.it_value = timespec_of(ahead > 0 ? ahead : longer(1));
    }
    return relative;
}

/* The clock of each timer is not to be had from it: so it is noted where it is made. */
#define CLOCKS 1024
static unsigned char clocks[CLOCKS];

int timerfd_create(int clock, int flags)
{
    REAL(timerfd_create);
    int fd = real(clock, flags);
    if (fd >= 0 && fd < CLOCKS)
        clocks[fd] = (unsigned char)clock;
    return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *before)
{
    NEXT(timerfd_settime);
    struct itimerspec relative;
    if ((flags & TFD_TIMER_ABSTIME) && timer) {
        clockid_t clock = fd >= 0 && fd < CLOCKS ? clocks[fd] : CLOCK_MONOTONIC;
        if (clock == CLOCK_REALTIME_ALARM)
            clock = CLOCK_REALTIME;
        if (clock == CLOCK_BOOTTIME_ALARM)
            clock = CLOCK_BOOTTIME;
        relative = from_now(clock, timer);
        timer = &relative;
    }
    return next(fd, flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET), timer, before);
}

/* --- timers and waits of a length --------------------------------------------------------------------- */

static struct timeval timeval_of(int64_t time)
{
    return (struct timeval){time / SECOND, (time % SECOND + 999) / 1000};
}

static int64_t of_timeval(const struct timeval *time)
{
    struct timespec same = {time->tv_sec, time->tv_usec * 1000};
    return nanoseconds(&same);
}

int setitimer(__itimer_which_t which, const struct itimerval *timer, struct itimerval *before)
{
    REAL(setitimer);
    struct itimerval scaled;
    if (which != ITIMER_REAL)
        return real(which, timer, before);
    if (timer) {
        scaled.it_value = timeval_of(shorter(of_timeval(&timer->it_value)));
        scaled.it_interval = timeval_of(shorter(of_timeval(&timer->it_interval)));
        timer = &scaled;
    }
    int status = real(which, timer, before);
    if (before && status == 0) {
        before->it_value = timeval_of(longer(of_timeval(&before->it_value)));
        before->it_interval = timeval_of(longer(of_timeval(&before->it_interval)));
    }
    return status;
}

int getitimer(__itimer_which_t which, struct itimerval *timer)
{
    REAL(getitimer);
    int status = real(which, timer);
    if (which == ITIMER_REAL && status == 0) {
        timer->it_value = timeval_of(longer(of_timeval(&timer->it_value)));
        timer->it_interval = timeval_of(longer(of_timeval(&timer->it_interval)));
    }
    return status;
}

unsigned alarm(unsigned seconds)
{
    struct itimerval timer = {{0, 0}, {seconds, 0}}, before = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, &before);
    return (unsigned)before.it_value.tv_sec + (before.it_value.tv_usec > 0);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    REAL(setsockopt);
    struct timeval scaled;
    int is_timeout = level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO);
    if (is_timeout && value && length >= sizeof scaled) {
        memcpy(&scaled, value, sizeof scaled);
        if (scaled.tv_sec >= 0 && scaled.tv_usec >= 0)
            scaled = timeval_of(shorter(of_timeval(&scaled)));
        return real(fd, level, option, &scaled, sizeof scaled);
    }
    return real(fd, level, option, value, length);
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict length)
{
    REAL(getsockopt);
    struct timeval scaled;
    int status = real(fd, level, option, value, length);
    int is_timeout = level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO);
    if (status == 0 && is_timeout && *length >= sizeof scaled) {
        memcpy(&scaled, value, sizeof scaled);
        scaled = timeval_of(longer(of_timeval(&scaled)));
        memcpy(value, &scaled, sizeof scaled);
    }
    return status;
}

int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict timeout)
{
    REAL(sigtimedwait);
    struct timespec scaled;
    if (is_valid(timeout)) {
        scaled = timespec_of(shorter(nanoseconds(timeout)));
        timeout = &scaled;
    }
    return real(set, info, timeout);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    REAL(ppoll);
    struct timespec scaled = timespec_of(shorter((int64_t)timeout * 1000000));
    return real(fds, count, timeout < 0 ? NULL : &scaled, NULL);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    REAL(ppoll);
    struct timespec scaled;
    if (is_valid(timeout)) {
        scaled = timespec_of(shorter(nanoseconds(timeout)));
        timeout = &scaled;
    }
    return real(fds, count, timeout, mask);
}

static long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    REAL(syscall);
    return real(number, a, b, c, d, e, f);
}

static int wait_for_events(int fd, struct epoll_event *events, int most, int64_t timeout, const sigset_t *mask)
{
    REAL(epoll_pwait);
    struct timespec scaled = timespec_of(shorter(timeout));
#ifdef SYS_epoll_pwait2
    int error = errno;
    long status = kernel(SYS_epoll_pwait2, fd, (long)events, most, timeout < 0 ? 0 : (long)&scaled, (long)mask,
                         _NSIG / 8);
    if (status >= 0 || (errno != ENOSYS && errno != EPERM))
        return (int)status;
    errno = error; /* a kernel before 5.11, or one that may not: to the millisecond */
#endif
    int64_t milliseconds = timeout < 0 ? -1 : (nanoseconds(&scaled) + 999999) / 1000000;
    return real(fd, events, most, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds, mask);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    return wait_for_events(fd, events, most, timeout < 0 ? -1 : (int64_t)timeout * 1000000, NULL);
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    return wait_for_events(fd, events, most, timeout < 0 ? -1 : (int64_t)timeout * 1000000, mask);
}

int epoll_pwait2(int fd, struct epoll_event *events, int most, const struct timespec *timeout,
                 const sigset_t *mask)
{
    return wait_for_events(fd, events, most, timeout ? nanoseconds(timeout) : -1, mask);
}

int thrd_sleep(const struct timespec *time, struct timespec *left)
{
    int status = nanosleep(time, left);
    return status == 0 ? 0 : errno == EINTR ? -1 : -2;
}

/* --- system calls by number, as runtimes of other languages make them ---------------------------------- */

long syscall(long number, ...)
{
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    const struct timespec *time = (const struct timespec *)a[3];
    struct timespec scaled;
    switch (number) {
    case SYS_futex: {
        int command = (int)a[1] & FUTEX_CMD_MASK;
        if (command == FUTEX_WAIT && is_valid(time)) {
            scaled = timespec_of(shorter(nanoseconds(time)));
            a[3] = (long)&scaled;
        } else if (command == FUTEX_WAIT_BITSET && is_valid(time)) {
            scaled = moment(a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, time);
            a[3] = (long)&scaled;
        }
        break;
    }
    case SYS_clock_gettime:
        return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
#ifdef SYS_gettimeofday
    case SYS_gettimeofday:
        return gettimeofday((struct timeval *)a[0], NULL);
#endif
    case SYS_nanosleep:
        return nanosleep((const struct timespec *)a[0], (struct timespec *)a[1]);
    case SYS_clock_nanosleep: {
        int error = clock_nanosleep((clockid_t)a[0], (int)a[1], (const struct timespec *)a[2],
                                    (struct timespec *)a[3]);
        if (error)
            errno = error;
        return error ? -1 : 0;
    }
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
