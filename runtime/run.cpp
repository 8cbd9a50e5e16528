#include <ouro/runtime/run.hpp>

#include <ouro/runtime/task_group.hpp>
#include <ouro/runtime/workers.hpp>

#include <cstdio>
#include <memory>

namespace ouro {
namespace {

int run_for_exit_code(task<int> main, const runtime_options& options) {
    task_outcome<int> outcome;
    std::shared_ptr<workers> run;
    try {
        run = std::make_shared<workers>(options);
        run->run(keep_outcome(std::move(main), outcome));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ouro: the runtime could not start: %s\n", error.what());
        return 1;
    }
    if (run->left_behind() > 0 || run->deadlocked()) return 1;
    const auto failure = outcome.failure();
    if (!failure) return outcome.take();
    if (run->main_was_asked() && is_cancellation(failure)) return 0;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    } catch (...) {
        std::fprintf(stderr, "ended with an exception of unknown type\n");
    }
    return 1;
}

task<int> zero_after(task<> main) {
    co_await std::move(main);
    co_return 0;
}

}  // namespace

int run(task<int> main, const runtime_options& options) {
    return run_for_exit_code(std::move(main), options);
}

int run(task<> main, const runtime_options& options) {
    return run_for_exit_code(zero_after(std::move(main)), options);
}

void run_to_end(task<> main, const runtime_options& options) {
    const auto run = std::make_shared<workers>(options);
    run->run(std::move(main));
    if (run->deadlocked()) throw_error(errc::deadlock);
}

std::string_view reactor_choice() noexcept {
    return workers::current().reactor_choice(this_worker());
}

}  // namespace ouro
