// Checks of what JavaScript hands in. Each returns false with a TypeError pending; the caller then
// returns at once. A NUL byte is refused because the kernel would act on the part before it. A value
// is empty when the getter that should give it threw: then that error stays.
#pragma once

#include <napi.h>

#include <string>

namespace holdfast {

// A non-empty string without NUL, shorter than `bytes_max` in UTF-8.
bool TextArgument(Napi::Env env, Napi::Value value, const char* name, size_t bytes_max,
                  std::string* out);

// As TextArgument, within PATH_MAX.
bool PathArgument(Napi::Env env, Napi::Value value, const char* name, std::string* out);

// A boolean, or undefined: then `*out` stays as it is.
bool FlagArgument(Napi::Env env, Napi::Value value, const char* name, bool* out);

// An object to read properties from.
bool OptionsArgument(Napi::Env env, Napi::Value value, Napi::Object* out);

// Throws `message` as a TypeError and returns false.
bool Refuse(Napi::Env env, const std::string& message);

}  // namespace holdfast
