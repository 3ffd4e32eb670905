/* A full disk on demand. Loaded before the C library, it answers "no space left on device" to every write that needs new
 * room below a folder, for as long as the file that KEYWARD_TEST_FULL_DISK names exists; the file holds the folder's path.
 * What is there already can be written over, as on a real disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int is_full(int file, off_t end)
{
    char folder[1024], path[1024], name[64];
    struct stat about;
    int before = errno, full = 0;
    const char *flag = getenv("KEYWARD_TEST_FULL_DISK");
    int said = flag ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
    if (said >= 0) {
        ssize_t length = read(said, folder, sizeof folder);
        close(said);
        snprintf(name, sizeof name, "/proc/self/fd/%d", file);
        ssize_t got = readlink(name, path, sizeof path);
        full = length > 0 && got > length && memcmp(path, folder, (size_t)length) == 0
            && fstat(file, &about) == 0 && S_ISREG(about.st_mode) && end > about.st_size;
    }
    errno = full ? ENOSPC : before;
    return full;
}

static off_t here(int file, size_t count)
{
    off_t at = fcntl(file, F_GETFL) & O_APPEND ? lseek(file, 0, SEEK_END) : lseek(file, 0, SEEK_CUR);
    return at < 0 ? 0 : at + (off_t)count;
}

ssize_t write(int file, const void *data, size_t count)
{
    REAL(write);
    return is_full(file, here(file, count)) ? -1 : real(file, data, count);
}

ssize_t writev(int file, const struct iovec *pieces, int count)
{
    REAL(writev);
    size_t all = 0;
    for (int piece = 0; piece < count; piece++) all += pieces[piece].iov_len;
    return is_full(file, here(file, all)) ? -1 : real(file, pieces, count);
}

ssize_t pwrite(int file, const void *data, size_t count, off_t at)
{
    REAL(pwrite);
    return is_full(file, at + (off_t)count) ? -1 : real(file, data, count, at);
}

ssize_t pwrite64(int file, const void *data, size_t count, off64_t at)
{
    REAL(pwrite64);
    return is_full(file, at + (off_t)count) ? -1 : real(file, data, count, at);
}

int fallocate(int file, int mode, off_t at, off_t length)
{
    REAL(fallocate);
    return is_full(file, at + length) ? -1 : real(file, mode, at, length);
}

int fallocate64(int file, int mode, off64_t at, off64_t length)
{
    REAL(fallocate64);
    return is_full(file, at + length) ? -1 : real(file, mode, at, length);
}

int posix_fallocate(int file, off_t at, off_t length)
{
    REAL(posix_fallocate);
    return is_full(file, at + length) ? ENOSPC : real(file, at, length);
}

int posix_fallocate64(int file, off64_t at, off64_t length)
{
    REAL(posix_fallocate64);
    return is_full(file, at + length) ? ENOSPC : real(file, at, length);
}
