#include "arguments.h"

#include <climits>

namespace holdfast {

bool Refuse(Napi::Env env, const std::string& message) {
  // A getter of the options may have thrown already: its error is the better one.
  if (!env.IsExceptionPending()) Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return false;
}

bool TextArgument(Napi::Env env, Napi::Value value, const char* name, size_t bytes_max,
                  std::string* out) {
  if (env.IsExceptionPending()) return false;
  if (!value.IsString()) {
    return Refuse(env, std::string(name) + " must be a string");
  }
  *out = value.As<Napi::String>().Utf8Value();
  if (out->empty()) return Refuse(env, std::string(name) + " must not be empty");
  if (out->find('\0') != std::string::npos) {
    return Refuse(env, std::string(name) + " must not contain a NUL byte");
  }
  if (out->size() >= bytes_max) {
    return Refuse(env, std::string(name) + " has " + std::to_string(out->size()) +
                           " bytes; at most " + std::to_string(bytes_max - 1) + " are possible");
  }
  return true;
}

bool PathArgument(Napi::Env env, Napi::Value value, const char* name, std::string* out) {
  return TextArgument(env, value, name, PATH_MAX, out);
}

bool FlagArgument(Napi::Env env, Napi::Value value, const char* name, bool* out) {
  if (env.IsExceptionPending()) return false;
  if (value.IsUndefined()) return true;
  if (!value.IsBoolean()) return Refuse(env, std::string(name) + " must be a boolean");
  *out = value.As<Napi::Boolean>().Value();
  return true;
}

bool OptionsArgument(Napi::Env env, Napi::Value value, Napi::Object* out) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction()) {
    return Refuse(env, "options must be an object");
  }
  *out = value.As<Napi::Object>();
  return true;
}

}  // namespace holdfast
