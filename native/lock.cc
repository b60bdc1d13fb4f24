// flock(2): the lock lives with the open file, so the kernel drops it however the process ends.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "arguments.h"
#include "errors.h"
#include "file.h"
#include "functions.h"

namespace holdfast {

Napi::Value LockFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path;
  if (!PathArgument(env, info[0], "path", &path)) return {};
  const auto fail = [&](int error, const char* syscall, const char* detail) -> Napi::Value {
    MakeError(env, {error, syscall, path, "", detail}).ThrowAsJavaScriptException();
    return {};
  };
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  File file(open(path.c_str(), kFlags, 0600));
  if (!file.ok()) return fail(errno, "open", "");
  struct stat status;
  if (fstat(file.fd(), &status) != 0) return fail(errno, "fstat", "");
  if (!S_ISREG(status.st_mode)) return fail(EINVAL, "flock", "not a regular file");
  if (flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return env.Undefined();
    return fail(errno, "flock", "");
  }
  return Napi::Number::New(env, file.Release());
}

}  // namespace holdfast
