// BLKGETSIZE64.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "arguments.h"
#include "file.h"
#include "functions.h"
#include "task.h"

namespace holdfast {

namespace {

Outcome ReadSize(const std::string& path) {
  const auto failed = [&path](int error, const char* syscall) -> Outcome {
    return {Failure{error, syscall, path, "", ""}, nullptr};
  };
  // Non-blocking: a drive without a medium answers 0 instead of waiting for one.
  const File device(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!device.ok()) return failed(errno, "open");
  struct stat status;
  if (fstat(device.fd(), &status) != 0) return failed(errno, "fstat");
  if (!S_ISBLK(status.st_mode)) return failed(ENOTBLK, "ioctl");
  uint64_t size_bytes = 0;
  if (ioctl(device.fd(), BLKGETSIZE64, &size_bytes) != 0) return failed(errno, "ioctl");
  return {std::nullopt, [size_bytes](Napi::Env env) -> Napi::Value {
            return Napi::Number::New(env, static_cast<double>(size_bytes));
          }};
}

}  // namespace

Napi::Value BlockDeviceSize(const Napi::CallbackInfo& info) {
  std::string path;
  if (!PathArgument(info.Env(), info[0], "path", &path)) return {};
  return RunTask(info.Env(), {"ioctl", path}, [path] { return ReadSize(path); });
}

}  // namespace holdfast
