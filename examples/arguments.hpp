// arguments.hpp: `--name value` command lines for the example programs.
#pragma once

#include <ouro/runtime/clock.hpp>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace examples {

/// Says what is wrong with the command line in one sentence and ends the program with code 2.
[[noreturn]] inline void wrong_usage(const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
    std::exit(2);
}

/// The options of one program: those in `known` have a value, those in `flags` none. Unknown or
/// incomplete ones end it with a sentence; `--help` with their names.
class arguments {
public:
    arguments(int argc, char** argv, std::initializer_list<std::string_view> known,
              std::initializer_list<std::string_view> flags = {}) {
        for (int i = 1; i < argc; ++i) {
            const std::string_view given = argv[i];
            std::string name(given.starts_with("--") ? given.substr(2) : given);
            if (given == "--help") {
                std::printf("options:%s\n", list(known, flags).c_str());
                std::exit(0);
            }
            const bool is_flag = contains(flags, name);
            if (!given.starts_with("--") || (!is_flag && !contains(known, name)))
                wrong_usage("unknown option '" + std::string(given) + "'; known are" +
                            list(known, flags));
            if (!is_flag && i + 1 == argc) wrong_usage("option --" + name + " needs a value");
            values_[name] = is_flag ? "" : argv[++i];
        }
    }

    std::string text(const std::string& name, std::string otherwise) const {
        const auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }

    bool has(const std::string& name) const { return values_.contains(name); }

    /// A whole number between `low` and `high`.
    std::int64_t number(const std::string& name, std::int64_t otherwise, std::int64_t low,
                        std::int64_t high) const {
        const auto found = values_.find(name);
        if (found == values_.end()) return otherwise;
        std::int64_t value = 0;
        const std::string& given = found->second;
        const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
        if (error != std::errc() || end != given.data() + given.size() || value < low ||
            value > high)
            wrong_usage("--" + name + " must be a whole number from " + std::to_string(low) +
                        " to " + std::to_string(high) + ", not '" + given + "'");
        return value;
    }

    /// One of a few words.
    std::string choice(const std::string& name, std::string otherwise,
                       std::initializer_list<std::string_view> allowed) const {
        const std::string given = text(name, std::move(otherwise));
        for (const std::string_view one : allowed)
            if (one == given) return given;
        std::string sentence = "--" + name + " must be one of";
        for (const std::string_view one : allowed) sentence += ' ' + std::string(one);
        wrong_usage(sentence + ", not '" + given + "'");
    }

    /// A length of time: a number with the unit ms, s or min; a bare number means seconds.
    ouro::duration time(const std::string& name, ouro::duration otherwise) const {
        const auto found = values_.find(name);
        if (found == values_.end()) return otherwise;
        const std::string& given = found->second;
        double value = 0;
        const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
        const std::string_view unit(end, given.data() + given.size());
        const double factor = unit == "ms"                ? 1e6
                              : unit == "s" || unit == "" ? 1e9
                              : unit == "min"             ? 60e9
                                                          : 0;
        if (error != std::errc() || factor == 0 || value < 0 || value > 1e6)
            wrong_usage("--" + name + " must be a time such as 5s or 250ms, not '" + given + "'");
        return ouro::duration(static_cast<std::int64_t>(value * factor));
    }

private:
    using names = std::initializer_list<std::string_view>;

    static bool contains(names all, std::string_view wanted) {
        for (const std::string_view one : all)
            if (one == wanted) return true;
        return false;
    }

    static std::string list(names known, names flags) {
        std::string text;
        for (const names& all : {known, flags})
            for (const std::string_view one : all) text += " --" + std::string(one);
        return text;
    }

    std::map<std::string, std::string> values_;
};

}  // namespace examples
