#include <ouro/runtime/dump.hpp>

#include <ouro/runtime/duration_text.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/workers.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ouro {
namespace {

/// The folder of the runtime's own sources, as the compiler was told.
std::string_view own_folder() noexcept {
    const std::string_view here = __FILE__;
    return here.substr(0, here.size() - std::string_view("dump.cpp").size());
}

std::string place_text(const std::source_location& place) {
    return fmt::format("{}:{}", short_file_name(place.file_name()), place.line());
}

/// Notes the chains below a leaf.
class branch_finder final : public leaf_description {
public:
    void text(std::string) override {}
    void child(chain& below) override { branches.push_back(&below); }

    std::vector<chain*> branches;
};

class task_printer {
public:
    explicit task_printer(executor& loop) : loop_(loop) {
        loop_.ready().for_each([this](promise_base& frame) { ready_.push_back(&frame); });
    }

    std::string print() {
        std::vector<const chain*> below;
        loop_.tasks().for_each([&](root_task& task) { find_branches(task, below); });
        std::sort(below.begin(), below.end());
        const auto alive = loop_.tasks().alive();
        text_ = fmt::format("{} {} on worker {} ({})\n", alive, alive == 1 ? "task" : "tasks",
                            loop_.worker(), loop_.io().name());
        loop_.tasks().for_each([&](root_task& task) {
            const chain* root = &task;
            if (!std::binary_search(below.begin(), below.end(), root)) print_task(task, 0);
        });
        return std::move(text_);
    }

private:
    /// The root tasks that some leaf names as its branches; they are printed there.
    static void find_branches(chain& above, std::vector<const chain*>& found) {
        if (!above.waiting_for()) return;
        branch_finder finder;
        above.waiting_for()->describe(finder);
        for (chain* branch : finder.branches) {
            if (dynamic_cast<root_task*>(branch))
                found.push_back(branch);
            else
                find_branches(*branch, found);
        }
    }

    static const chain* outermost(const chain* one) noexcept {
        while (one->parent()) one = one->parent();
        return one;
    }

    /// The frame of a chain that does not wait; null when it is not found.
    promise_base* active_frame(const chain& one) const noexcept {
        promise_base* running = loop_.running();
        if (running && running->owner == &one) return running;
        for (promise_base* frame : ready_)
            if (frame->owner == &one) return frame;
        return nullptr;
    }

    const char* state_of(const root_task& task) const noexcept {
        promise_base* running = loop_.running();
        if (running && outermost(running->owner) == &task) return "running";
        for (promise_base* frame : ready_)
            if (outermost(frame->owner) == &task) return "ready";
        return "waiting";
    }

    void print_task(root_task& task, int depth) {
        std::string title = fmt::format("task {}", task.number());
        if (!task.name().empty()) title += fmt::format(" \"{}\"", task.name());
        title +=
            fmt::format(", {}, {} old", state_of(task), duration_text(loop_.now() - task.born()));
        if (task.birthplace().line() != 0 && !is_runtime_file(task.birthplace().file_name()))
            title += ", spawned at " + place_text(task.birthplace());
        if (task.cancelled()) title += std::string(", cancelled: ") + to_string(task.reason());
        line(depth, title);
        print_chain(task, nullptr, depth + 1);
    }

    /// The frames of a chain from the outside in, but for `above` and what is above it, and then
    /// what the innermost waits for.
    void print_chain(chain& one, const promise_base* above, int depth) {
        leaf* waits_for = one.waiting_for();
        promise_base* innermost = waits_for ? one.waiting_frame() : active_frame(one);
        depth = print_frames(innermost, above, depth);
        if (waits_for) {
            branch_printer branches(*this, innermost, depth);
            waits_for->describe(branches);
        }
    }

    int print_frames(promise_base* frame, const promise_base* above, int depth) {
        if (!frame || frame == above) return depth;
        depth = print_frames(frame->parent, above, depth);
        if (frame->where.line() == 0 || is_runtime_file(frame->where.file_name())) return depth;
        line(depth,
             short_function_name(frame->where.function_name()) + "  " + place_text(frame->where));
        return depth + 1;
    }

    void line(int depth, std::string_view what) {
        text_.append(static_cast<std::size_t>(2 * depth), ' ');
        text_ += what;
        text_ += '\n';
    }

    class branch_printer final : public leaf_description {
    public:
        branch_printer(task_printer& to, const promise_base* above, int depth)
            : to_(to), above_(above), depth_(depth) {}
        void text(std::string what) override { to_.line(depth_, what); }
        void child(chain& below) override {
            if (auto* task = dynamic_cast<root_task*>(&below))
                to_.print_task(*task, depth_ + 1);
            else
                to_.print_chain(below, above_, depth_ + 1);
        }

    private:
        task_printer& to_;
        const promise_base* above_;
        int depth_;
    };

    executor& loop_;
    std::vector<promise_base*> ready_;
    std::string text_;
};

/// Asks another worker for its dump. Kept alive by both sides, since the asker may lose patience.
class dump_request final : public remote_call {
public:
    static std::shared_ptr<dump_request> send(executor& to) {
        auto request = std::make_shared<dump_request>();
        request->self_ = request;
        to.post(*request);
        return request;
    }

    /// Empty when there was no answer in time.
    std::string answer(std::chrono::steady_clock::time_point until) {
        std::unique_lock held(lock_);
        answered_.wait_until(held, until, [this] { return !text_.empty(); });
        return std::move(text_);
    }

private:
    void run() noexcept override {
        const auto self = std::move(self_);
        std::string text = dump_tasks();
        const std::lock_guard held(lock_);
        text_ = std::move(text);
        answered_.notify_one();
    }

    std::mutex lock_;
    std::condition_variable answered_;
    std::string text_;
    std::shared_ptr<dump_request> self_;
};

/// Cuts `text` behind the bracket that closes the one it begins with; returns what is behind.
std::string_view behind_bracket(std::string_view text) noexcept {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '(' || c == '<' || c == '{' || c == '[') ++depth;
        const bool arrow = c == '>' && i > 0 && text[i - 1] == '-';
        if ((c == ')' || (c == '>' && !arrow) || c == '}' || c == ']') && --depth == 0)
            return text.substr(i + 1);
    }
    return {};
}

constexpr std::string_view lambda_mark = "<lambda";
constexpr std::string_view clang_lambda_mark = "(anonymous class)";

/// Takes the qualified name of a function apart, without arguments: "main", "lambda", "operator()".
std::vector<std::string_view> name_parts(std::string_view rest) {
    std::vector<std::string_view> parts;
    std::string_view part;
    auto extend = [&](std::size_t n) {
        part = part.empty() ? rest.substr(0, n) : std::string_view(part.data(), part.size() + n);
        rest.remove_prefix(n);
    };
    while (!rest.empty()) {
        if (rest.starts_with(lambda_mark) || rest.starts_with(clang_lambda_mark)) {
            part = "lambda";
            rest = behind_bracket(rest);
        } else if (part == "operator" && rest.starts_with("()")) {
            extend(2);
        } else if (rest.starts_with("{anonymous}::") ||
                   rest.starts_with("(anonymous namespace)::")) {
            rest = behind_bracket(rest).substr(2);
        } else if (rest.front() == '<') {
            rest = behind_bracket(rest);
        } else if (rest.front() == '(') {
            const bool is_type = part == "decltype";
            rest = behind_bracket(rest);
            if (!is_type && !rest.starts_with("::")) break;
        } else if (rest.starts_with("::")) {
            parts.push_back(part);
            part = {};
            rest.remove_prefix(2);
        } else if (rest.front() == ' ') {  // what came so far was the type that is returned
            parts.clear();
            part = {};
            rest.remove_prefix(1);
        } else {
            extend(1);
        }
    }
    parts.push_back(part);
    return parts;
}

}  // namespace

bool is_runtime_file(std::string_view file) noexcept {
    if (file.find("/ouro/runtime/") != file.npos || file.starts_with("ouro/runtime/")) return true;
    if (!file.starts_with(own_folder())) return false;
    file.remove_prefix(own_folder().size());
    return file == "run.cpp" || file == "signals.cpp";
}

std::string short_function_name(std::string_view signature) {
    std::vector<std::string_view> parts = name_parts(signature);
    if (parts.size() > 1 && parts[parts.size() - 2] == "lambda") parts.pop_back();
    const bool is_lambda = parts.back() == "lambda";
    while (parts.size() > 1 && parts.back() == "lambda") parts.pop_back();
    if (is_lambda) return "lambda in " + std::string(parts.back());
    std::string name(parts.back());
    if (parts.size() > 1) {
        const std::string_view outer = parts[parts.size() - 2];
        if (outer != "ouro" && !outer.empty()) name = std::string(outer) + "::" + name;
    }
    return name;
}

std::string_view short_file_name(std::string_view path) noexcept {
    for (const std::string_view crate : {"runtime/", "net/", "http/", "db/", "kv/"}) {
        const std::size_t folder = path.rfind("ouro/");
        if (folder == path.npos || (folder > 0 && path[folder - 1] != '/')) break;
        const std::string_view inside = path.substr(folder + 5);
        if (inside.starts_with(crate)) return inside;
    }
    std::string_view root = own_folder();
    root.remove_suffix(std::string_view("runtime/").size());
    if (path.starts_with(root)) path.remove_prefix(root.size());
    while (path.starts_with("../") || path.starts_with("./"))
        path.remove_prefix(path.find('/') + 1);
    return path;
}

std::string dump_tasks() { return task_printer(executor::current()).print(); }

std::string dump_all_tasks(duration patience) {
    workers* run = workers::current_or_null();
    if (!run) return dump_tasks();
    const auto until = after(std::chrono::steady_clock::now(), patience);
    const executor* here = executor::current_or_null();
    std::vector<std::shared_ptr<dump_request>> asked(run->count());
    if (const workers::visit inside(*run); inside) {
        for (unsigned worker = 0; worker < run->count(); ++worker)
            if (&run->at(worker) != here) asked[worker] = dump_request::send(run->at(worker));
    } else {
        return "the run is over\n";
    }
    std::string all;
    for (unsigned worker = 0; worker < run->count(); ++worker) {
        const std::string one = asked[worker] ? asked[worker]->answer(until) : dump_tasks();
        all += !one.empty() ? one
                            : fmt::format(
                                  "worker {} does not answer: a task of it holds the "
                                  "loop\n",
                                  worker);
    }
    return all;
}

}  // namespace ouro
