// Loop devices: attach with LOOP_CONFIGURE (one step, so no half-configured device exists), detach, ask
// which file is served.
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "arguments.h"
#include "file.h"
#include "functions.h"
#include "task.h"

namespace holdfast {

namespace {

// Tries to get a free device before someone else does. In each round of a race one of the racers
// wins, so this is how many others may attach at the same moment.
constexpr int kAttachTriesMax = 256;

// Tries to find the device open nowhere else: a prober (udev, blkid) holds it for milliseconds.
constexpr int kDetachTriesMax = 25;

constexpr long kRetryPauseNs = 10'000'000;  // 10 ms

constexpr off_t kSectorBytes = 512;
constexpr double kBlockSizeMax = 4096;

struct LoopRequest {
  std::string backing_file;
  bool read_only = false;
  bool direct_io = true;
  uint32_t block_size = 0;  // 0: the kernel's choice
};

// A file as JavaScript knows it: what lstat says, as doubles. The kernel's `lo_device` (huge_encode_dev)
// has the bits of st_dev; only `struct loop_info` has the old 16 bits.
struct LoopFile {
  double dev = 0;
  double ino = 0;
  bool operator!=(const LoopFile& other) const { return dev != other.dev || ino != other.ino; }
};

LoopFile FileOf(const loop_info64& info) {
  return {static_cast<double>(info.lo_device), static_cast<double>(info.lo_inode)};
}

Outcome Failed(int error, const char* syscall, const std::string& path, std::string detail = "") {
  return {Failure{error, syscall, path, "", std::move(detail)}, nullptr};
}

void Pause() {
  const timespec pause = {0, kRetryPauseNs};
  nanosleep(&pause, nullptr);
}

bool IsDirect(int device) {
  loop_info64 info = {};
  return ioctl(device, LOOP_GET_STATUS64, &info) == 0 && (info.lo_flags & LO_FLAGS_DIRECT_IO) != 0;
}

// Asks for direct I/O both ways: through the file (a file system that can't says EINVAL, and kernels
// before 6.14 take the block size from the disk below only then) and through the loop flag.
bool WantDirect(int backing, bool asked) {
  return fcntl(backing, F_SETFL, asked ? O_DIRECT : 0) == 0 && asked;
}

// 0, or why this file can't back a device.
std::optional<Failure> CheckBacking(int backing, const LoopRequest& request) {
  struct stat status;
  const std::string& path = request.backing_file;
  if (fstat(backing, &status) != 0) return Failure{errno, "fstat", path, "", ""};
  if (!S_ISREG(status.st_mode)) return Failure{EINVAL, "open", path, "", "not a regular file"};
  const off_t unit = std::max<off_t>(kSectorBytes, request.block_size);
  if (status.st_size == 0 || status.st_size % unit != 0) {
    return Failure{EINVAL, "open", path, "",
                   "its size of " + std::to_string(status.st_size) +
                       " bytes is not a multiple of " + std::to_string(unit) + " above 0"};
  }
  return std::nullopt;
}

loop_config MakeConfig(int backing, const LoopRequest& request, bool direct) {
  loop_config config = {};
  config.fd = static_cast<uint32_t>(backing);
  config.block_size = request.block_size;
  if (request.read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  if (direct) config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
  // For people who list devices; sysfs `backing_file` has the whole path.
  memcpy(config.info.lo_file_name, request.backing_file.data(),
         std::min<size_t>(request.backing_file.size(), LO_NAME_SIZE - 1));
  return config;
}

// Lost a race, not failed: the device was taken (EBUSY) or removed (the rest) since it was free.
bool IsRace(int error) { return error == EBUSY || error == ENOENT || error == ENXIO; }

Outcome RunAttach(const LoopRequest& request) {
  const std::string& backing_path = request.backing_file;
  const int mode = request.read_only ? O_RDONLY : O_RDWR;
  // Non-blocking for the open only: a FIFO would wait for its other end.
  const File backing(open(backing_path.c_str(), mode | O_CLOEXEC | O_NONBLOCK));
  if (!backing.ok()) return Failed(errno, "open", backing_path);
  if (auto failure = CheckBacking(backing.fd(), request)) return {failure, nullptr};
  const bool direct = WantDirect(backing.fd(), request.direct_io);
  if (!direct) fcntl(backing.fd(), F_SETFL, 0);
  const loop_config config = MakeConfig(backing.fd(), request, direct);

  const File control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.ok()) return Failed(errno, "open", "/dev/loop-control");
  for (int tries = 0; tries < kAttachTriesMax; tries++) {
    const int number = ioctl(control.fd(), LOOP_CTL_GET_FREE);
    if (number < 0) return Failed(errno, "ioctl", "/dev/loop-control");
    const std::string path = "/dev/loop" + std::to_string(number);
    const File device(open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!device.ok() && !IsRace(errno)) return Failed(errno, "open", path);
    if (device.ok() && ioctl(device.fd(), LOOP_CONFIGURE, &config) == 0) {
      const bool is_direct = IsDirect(device.fd());
      // Buffered after all: a file that is still O_DIRECT would get misaligned requests.
      if (!is_direct) fcntl(backing.fd(), F_SETFL, 0);
      return {std::nullopt, [path, is_direct](Napi::Env env) -> Napi::Value {
                Napi::Object result = Napi::Object::New(env);
                result.Set("path", path);
                result.Set("directIo", is_direct);
                return result;
              }};
    }
    if (!IsRace(errno)) return Failed(errno, "ioctl", backing_path, "LOOP_CONFIGURE of " + path);
    Pause();
  }
  return Failed(EBUSY, "ioctl", backing_path,
                "lost the race for a free loop device " + std::to_string(kAttachTriesMax) +
                    " times");
}

// Takes back the autoclear that LOOP_CLR_FD has set on a device in use.
void StayAttached(int device, loop_info64* info) {
  info->lo_flags &= ~static_cast<uint32_t>(LO_FLAGS_AUTOCLEAR);
  ioctl(device, LOOP_SET_STATUS64, info);
}

std::optional<Failure> CheckLoopDevice(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return Failure{errno, "stat", path, "", ""};
  if (S_ISBLK(status.st_mode) && major(status.st_rdev) == LOOP_MAJOR) return std::nullopt;
  return Failure{ENOTBLK, "ioctl", path, "", "not a loop device"};
}

// ESTALE when the device serves another file by now: numbers are given out again.
std::optional<Failure> CheckServes(int device, const std::string& path, const LoopFile& expected) {
  loop_info64 info = {};
  if (ioctl(device, LOOP_GET_STATUS64, &info) != 0) return Failure{errno, "ioctl", path, "", ""};
  if (FileOf(info) != expected) return Failure{ESTALE, "ioctl", path, "", "serves another file"};
  return std::nullopt;
}

// Why the exclusive open failed. A device in use that serves another file is ESTALE: nothing to wait for.
Failure NotOpened(int error, const std::string& path, const std::optional<LoopFile>& expected) {
  if (error != EBUSY) return Failure{error, "open", path, "", ""};
  if (expected) {
    const File shared(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (shared.ok()) {
      if (auto failure = CheckServes(shared.fd(), path, *expected)) return *failure;
    }
  }
  return Failure{EBUSY, "open", path, "", "mounted or claimed by another"};
}

// LOOP_CLR_FD on a device that is open elsewhere answers 0 and detaches at the last close (since
// Linux 3.7). The door promises EBUSY: the exclusive open refuses mounted and claimed devices, and
// keeps others from mounting meanwhile; what the status then says tells plain openers.
//
// The expected file is compared on that very descriptor: while it is open, nobody can let the device go.
Outcome RunDetach(const std::string& path, const std::optional<LoopFile>& expected) {
  if (auto failure = CheckLoopDevice(path)) return {failure, nullptr};
  const File device(open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  if (!device.ok()) return {NotOpened(errno, path, expected), nullptr};
  if (expected) {
    if (auto failure = CheckServes(device.fd(), path, *expected)) return {failure, nullptr};
  }
  for (int tries = 0; tries < kDetachTriesMax; tries++) {
    if (ioctl(device.fd(), LOOP_CLR_FD) != 0) return Failed(errno, "ioctl", path);
    loop_info64 info = {};
    if (ioctl(device.fd(), LOOP_GET_STATUS64, &info) != 0) {
      return errno == ENXIO ? Outcome{} : Failed(errno, "ioctl", path);
    }
    StayAttached(device.fd(), &info);
    Pause();
  }
  return Failed(EBUSY, "ioctl", path, "open in another process");
}

Outcome RunStatus(const std::string& path) {
  if (auto failure = CheckLoopDevice(path)) return {failure, nullptr};
  // Not exclusive: it has to answer for mounted devices, and must not keep others from mounting.
  const File device(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!device.ok()) return errno == ENXIO ? Outcome{} : Failed(errno, "open", path);
  loop_info64 info = {};
  if (ioctl(device.fd(), LOOP_GET_STATUS64, &info) != 0) {
    return errno == ENXIO ? Outcome{} : Failed(errno, "ioctl", path);
  }
  const LoopFile file = FileOf(info);
  return {std::nullopt, [file](Napi::Env env) -> Napi::Value {
            Napi::Object result = Napi::Object::New(env);
            result.Set("dev", file.dev);
            result.Set("ino", file.ino);
            return result;
          }};
}

bool ReadNumber(Napi::Env env, Napi::Value value, const char* name, double* out) {
  if (env.IsExceptionPending()) return false;
  if (!value.IsNumber()) return Refuse(env, std::string(name) + " must be a number");
  *out = value.As<Napi::Number>().DoubleValue();
  return true;
}

// Undefined: whichever file it is.
bool ReadExpected(Napi::Env env, Napi::Value value, std::optional<LoopFile>* out) {
  if (value.IsUndefined()) return true;
  Napi::Object options;
  LoopFile file;
  if (!OptionsArgument(env, value, &options)) return false;
  if (!ReadNumber(env, options.Get("dev"), "dev", &file.dev)) return false;
  if (!ReadNumber(env, options.Get("ino"), "ino", &file.ino)) return false;
  *out = file;
  return true;
}

bool ReadBlockSize(Napi::Env env, Napi::Value value, uint32_t* out) {
  if (env.IsExceptionPending()) return false;
  if (value.IsUndefined()) return true;
  const double size = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (size < kSectorBytes || size > kBlockSizeMax) {
    return Refuse(env, "blockSize must be a power of two from 512 to 4096");
  }
  *out = static_cast<uint32_t>(size);
  if (*out != size || (*out & (*out - 1)) != 0) {
    return Refuse(env, "blockSize must be a power of two from 512 to 4096");
  }
  return true;
}

}  // namespace

Napi::Value LoopAttach(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object options;
  LoopRequest request;
  if (!OptionsArgument(env, info[0], &options)) return {};
  if (!PathArgument(env, options.Get("backingFile"), "backingFile", &request.backing_file)) return {};
  if (!FlagArgument(env, options.Get("readOnly"), "readOnly", &request.read_only)) return {};
  if (!FlagArgument(env, options.Get("directIo"), "directIo", &request.direct_io)) return {};
  if (!ReadBlockSize(env, options.Get("blockSize"), &request.block_size)) return {};
  return RunTask(env, {"ioctl", request.backing_file},
                 [request] { return RunAttach(request); });
}

Napi::Value LoopDetach(const Napi::CallbackInfo& info) {
  std::string path;
  std::optional<LoopFile> expected;
  if (!PathArgument(info.Env(), info[0], "path", &path)) return {};
  if (!ReadExpected(info.Env(), info[1], &expected)) return {};
  return RunTask(info.Env(), {"ioctl", path}, [path, expected] { return RunDetach(path, expected); });
}

Napi::Value LoopStatus(const Napi::CallbackInfo& info) {
  std::string path;
  if (!PathArgument(info.Env(), info[0], "path", &path)) return {};
  return RunTask(info.Env(), {"ioctl", path}, [path] { return RunStatus(path); });
}

}  // namespace holdfast
