/* Pretends to be VixDiskLib over ordinary files, and is strict about how it is used. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
#define SECTOR 512
#define OK 0
#define FAIL 1
#define NOT_FOUND 4
#define NOT_SUPPORTED 6
#define DISK_FULL 8
#define ASYNC 25000

typedef void log_function(const char *format, va_list values);
typedef void done_function(void *data, uint64_t result);

struct connect_params {
  char *vmx_spec, *server_name, *thumb_print;
  long reserved1;
  uint32_t cred_type;
  union {
    struct { char *user_name, *password; } uid;
    struct { char *cookie, *user_name, *key; } session;
  } creds;
  uint32_t port, nfc_host_port;
  char *reserved3;
  char reserved4[8];
  void *reserved5;
  char *spec[3];
  uint32_t spec_type;
};

struct create_params {
  uint32_t disk_type, adapter_type;
  uint16_t hw_version;
  uint64_t capacity;
  uint32_t logical, physical;
};

struct info {
  uint32_t bios[3], phys[3];
  uint64_t capacity;
  uint32_t adapter_type, num_links;
  char *parent, *uuid;
  uint32_t logical, physical;
};

struct block_list {
  uint32_t count;
  struct { uint64_t offset, length; } blocks[];
};

struct disk {
  int fd, under_way, called;
  pthread_mutex_t lock;
  pthread_cond_t idle;
};

struct request {
  struct disk *disk;
  uint64_t start, sectors;
  unsigned char *bytes;
  int write;
  done_function *done;
  void *data;
};

static log_function *log_it, *warn_of;
static int opening;

static void say(log_function *how, const char *format, ...)
{
  va_list values;
  va_start(values, format);
  how(format, values);
  va_end(values);
}

static void *say_elsewhere(void *text)
{
  say(log_it, "from a thread of its own: %s\n", (char *)text);
  return NULL;
}

/* Two calls of one kind that are made at once end the process. */
static void enter(int *place, const char *what)
{
  if (__sync_fetch_and_add(place, 1) != 0) {
    fprintf(stderr, "fake VDDK: %s at once\n", what);
    abort();
  }
  usleep(20);
}

static void leave(int *place) { __sync_fetch_and_sub(place, 1); }

API uint64_t VixDiskLib_InitEx(uint32_t major, uint32_t minor, log_function *log, log_function *warn,
                               log_function *panic, const char *folder, const char *config)
{
  pthread_t thread;
  const char *(*version)(void);
  void *plugin;
  log_it = log;
  warn_of = warn;
  say(log, "version %u.%u, libdir %s, config %s\n", major, minor, folder, config ? config : "none");
  pthread_create(&thread, NULL, say_elsewhere, "begun");
  pthread_join(thread, NULL);
  /* As the real one does it: found by LD_LIBRARY_PATH, and bound to whoever comes first. */
  plugin = dlopen("libdiskLibPlugin.so", RTLD_NOW);
  version = plugin ? dlsym(plugin, "plugin_ssl_version") : NULL;
  say(log, "OpenSSL of the plugin: %s\n", version ? version() : "not found");
  say(warn, "VDDK_PhoneHome: %s\n", "nobody needs to know");
  return OK;
}

API void VixDiskLib_Exit(void) { say(log_it, "exit\n"); }

API char *VixDiskLib_GetErrorText(uint64_t error, const char *unused)
{
  char *text;
  const char *words = error == NOT_FOUND   ? "The file was not found"
                      : error == DISK_FULL ? "The disk is full"
                                           : "Unknown error";
  return asprintf(&text, "%s\033[1m", words) < 0 ? NULL : text;
}

API void VixDiskLib_FreeErrorText(char *text) { free(text); }

API struct connect_params *VixDiskLib_AllocateConnectParams(void)
{
  return calloc(1, sizeof(struct connect_params));
}

API void VixDiskLib_FreeConnectParams(struct connect_params *params) { free(params); }

#define OR(text) ((text) ? (text) : "none")

API uint64_t VixDiskLib_ConnectEx(const struct connect_params *params, char read_only,
                                  const char *snapshot, const char *transports, void **connection)
{
  const char *expected = getenv("FAKE_VDDK_PASSWORD");
  const char *password =
    params->cred_type == 2 ? params->creds.session.key : params->creds.uid.password;
  const char *user =
    params->cred_type == 2 ? params->creds.session.user_name : params->creds.uid.user_name;
  say(log_it, "connect: server=%s vm=%s user=%s thumbprint=%s port=%u nfc=%u type=%u/%u\n",
      OR(params->server_name), OR(params->vmx_spec), params->cred_type ? OR(user) : "none",
      OR(params->thumb_print), params->port, params->nfc_host_port, params->cred_type,
      params->spec_type);
  say(log_it, "connect: read-only=%d snapshot=%s transports=%s\n", read_only, OR(snapshot),
      OR(transports));
  if (params->cred_type == 2) say(log_it, "cookie=%s\n", params->creds.session.cookie);
  if (params->cred_type) say(log_it, "login: %s\n", password);
  if (expected && (!params->cred_type || strcmp(expected, password) != 0)) return FAIL;
  *connection = malloc(1);
  return OK;
}

API uint64_t VixDiskLib_Disconnect(void *connection)
{
  free(connection);
  say(log_it, "disconnected\n");
  return OK;
}

API uint64_t VixDiskLib_Create(void *connection, const char *path,
                               const struct create_params *params, void *progress, void *data)
{
  int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) return FAIL;
  say(log_it, "create: type=%u adapter=%u hardware=%u\n", params->disk_type, params->adapter_type,
      params->hw_version);
  if (ftruncate(fd, params->capacity * SECTOR) < 0) return FAIL;
  close(fd);
  return OK;
}

API uint64_t VixDiskLib_Open(void *connection, const char *path, uint32_t flags, struct disk **disk)
{
  struct disk *made;
  int fd;
  enter(&opening, "disks opened or closed");
  say(log_it, "open: flags=%u\n", flags);
  fd = path[0] == '[' ? -1 : open(path, flags & 4 ? O_RDONLY : O_RDWR);
  leave(&opening);
  if (fd < 0) return path[0] == '[' ? FAIL : NOT_FOUND;
  made = calloc(1, sizeof *made);
  made->fd = fd;
  pthread_mutex_init(&made->lock, NULL);
  pthread_cond_init(&made->idle, NULL);
  *disk = made;
  return OK;
}

API const char *VixDiskLib_GetTransportMode(struct disk *disk) { return "file"; }

API uint64_t VixDiskLib_Close(struct disk *disk)
{
  enter(&opening, "disks opened or closed");
  if (disk->under_way) abort();
  close(disk->fd);
  free(disk);
  leave(&opening);
  return OK;
}

API uint64_t VixDiskLib_GetInfo(struct disk *disk, struct info **info)
{
  struct stat st;
  fstat(disk->fd, &st);
  *info = calloc(1, sizeof **info);
  (*info)->capacity = st.st_size / SECTOR;
  (*info)->logical = 512;
  (*info)->physical = 8192;
  return OK;
}

API void VixDiskLib_FreeInfo(struct info *info) { free(info); }

static void *carry_out(void *of)
{
  struct request *it = of;
  struct disk *disk = it->disk;
  size_t length = it->sectors * SECTOR;
  uint64_t offset = it->start * SECTOR, result = OK;
  ssize_t count;
  sched_yield();
  count = it->write ? pwrite(disk->fd, it->bytes, length, offset)
                    : pread(disk->fd, it->bytes, length, offset);
  if (count != (ssize_t)length) result = FAIL;
  if (it->write && memcmp(it->bytes, "fill the disk", 13) == 0) result = DISK_FULL;
  it->done(it->data, result);
  pthread_mutex_lock(&disk->lock);
  if (--disk->under_way == 0) pthread_cond_broadcast(&disk->idle);
  pthread_mutex_unlock(&disk->lock);
  free(it);
  return NULL;
}

static uint64_t begin(struct request request)
{
  struct request *copy = malloc(sizeof *copy);
  pthread_t thread;
  struct disk *disk = request.disk;
  enter(&disk->called, "calls for one disk");
  pthread_mutex_lock(&disk->lock);
  disk->under_way++;
  pthread_mutex_unlock(&disk->lock);
  *copy = request;
  pthread_create(&thread, NULL, carry_out, copy);
  pthread_detach(thread);
  leave(&disk->called);
  return ASYNC;
}

API uint64_t VixDiskLib_ReadAsync(struct disk *disk, uint64_t start, uint64_t sectors,
                                  unsigned char *to, done_function *done, void *data)
{
  return begin((struct request){disk, start, sectors, to, 0, done, data});
}

API uint64_t VixDiskLib_WriteAsync(struct disk *disk, uint64_t start, uint64_t sectors,
                                   const unsigned char *from, done_function *done, void *data)
{
  return begin((struct request){disk, start, sectors, (unsigned char *)from, 1, done, data});
}

API uint64_t VixDiskLib_Wait(struct disk *disk)
{
  enter(&disk->called, "calls for one disk");
  pthread_mutex_lock(&disk->lock);
  while (disk->under_way) pthread_cond_wait(&disk->idle, &disk->lock);
  pthread_mutex_unlock(&disk->lock);
  leave(&disk->called);
  return OK;
}

API uint64_t VixDiskLib_Flush(struct disk *disk)
{
  enter(&disk->called, "calls for one disk");
  leave(&disk->called);
  say(log_it, "flush\n");
  return fsync(disk->fd) == 0 ? OK : FAIL;
}

API uint64_t VixDiskLib_QueryAllocatedBlocks(struct disk *disk, uint64_t start, uint64_t sectors,
                                             uint64_t chunk, struct block_list **list)
{
  struct stat st;
  off_t at, end = (start + sectors) * SECTOR, step = chunk * SECTOR;
  enter(&disk->called, "calls for one disk");
  leave(&disk->called);
  fstat(disk->fd, &st);
  if (start % chunk || sectors % chunk || end > st.st_size) {
    say(warn_of, "blocks of %lu sectors only\n", chunk);
    return FAIL;
  }
  *list = calloc(1, sizeof **list + sectors / chunk * 16);
  for (at = start * SECTOR; at < end; at += step) {
    off_t data = lseek(disk->fd, at, SEEK_DATA);
    if (data < 0 || data >= at + step) continue;
    (*list)->blocks[(*list)->count].offset = at / SECTOR;
    (*list)->blocks[(*list)->count++].length = chunk;
  }
  return OK;
}

API uint64_t VixDiskLib_FreeBlockList(struct block_list *list)
{
  free(list);
  return OK;
}
