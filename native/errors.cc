#include "errors.h"

#include <cctype>
#include <cstring>

namespace holdfast {

namespace {

// glibc's tables, not libuv's: libuv knows no EUCLEAN, the errno of a damaged file system.
std::string Name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "E" + std::to_string(error);
}

// "Device or resource busy" reads as "device or resource busy" in the middle of a sentence.
std::string Description(int error) {
  const char* description = strerrordesc_np(error);
  if (description == nullptr) return "unknown error " + std::to_string(error);
  std::string text = description;
  const bool acronym = text.size() > 1 && std::isupper(static_cast<unsigned char>(text[1])) != 0;
  if (!acronym) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

Napi::Error MakeError(Napi::Env env, const Failure& failure) {
  const std::string code = Name(failure.error);
  std::string message = code + ": " + Description(failure.error) + ", " + failure.syscall;
  if (!failure.path.empty()) message += " '" + failure.path + "'";
  if (!failure.dest.empty()) message += " -> '" + failure.dest + "'";
  if (!failure.detail.empty()) message += ": " + failure.detail;
  Napi::Error error = Napi::Error::New(env, message);
  Napi::Object object = error.Value();
  object.Set("errno", Napi::Number::New(env, -failure.error));
  object.Set("code", code);
  object.Set("syscall", failure.syscall);
  if (!failure.path.empty()) object.Set("path", failure.path);
  if (!failure.dest.empty()) object.Set("dest", failure.dest);
  return error;
}

}  // namespace holdfast
