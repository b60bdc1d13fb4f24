// Errors as Node's own system errors look: `EBUSY: device or resource busy, umount '/x'`, with
// code, errno (negative), syscall, path and, for calls on two paths, dest.
#pragma once

#include <napi.h>

#include <string>

namespace holdfast {

struct Failure {
  int error;            // errno, positive
  const char* syscall;  // static string
  std::string path;
  std::string dest;    // second path, may be empty
  std::string detail;  // what to tell beyond the errno, may be empty
};

Napi::Error MakeError(Napi::Env env, const Failure& failure);

}  // namespace holdfast
