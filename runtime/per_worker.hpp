// per_worker.hpp: one of something for each worker of the run: a pool, a client, a cache.
//
//   1. A slot is written by its own worker only, but for the end. Reading it is a load and the
//      worker's number, which is why it may be an atomic: it costs nothing.
//   2. What is in a slot is made and destroyed on the slot's worker, so it may hold what belongs to
//      a worker: sockets, timers, tasks.
//   3. The end sends each worker what it has to destroy. Such a message counts as work under way,
//      so no worker leaves its loop before it has come.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/remote_call.hpp>
#include <ouro/runtime/task.hpp>

#include <atomic>
#include <concepts>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace ouro {

/// The untyped half of per_worker: the slots.
class per_worker_slots {
public:
    /// What is kept for one worker; when it is posted there, it destroys itself.
    class node : public remote_call {
    public:
        virtual ~node() = default;

    private:
        void run() noexcept final;
    };

    per_worker_slots(const per_worker_slots&) = delete;
    per_worker_slots& operator=(const per_worker_slots&) = delete;

    /// Destroys what was made, each on its worker, and returns when that is done. Nobody uses it
    /// meanwhile. When it is cancelled, the rest is left to the destructor.
    [[nodiscard]] task<> close();

protected:
    per_worker_slots();
    ~per_worker_slots();

    node* here() const noexcept { return own_slot().load(std::memory_order_relaxed); }
    void keep(std::unique_ptr<node> made) noexcept {
        own_slot().store(made.release(), std::memory_order_release);
    }

private:
    using slot = std::atomic<node*>;

    slot& own_slot() const noexcept {
        const unsigned worker = executor::current().worker();
        OURO_ASSERT(worker < count_ && "per_worker: used in another run than it was made in");
        return slots_[worker];
    }
    static void destroy(slot& of) noexcept;

    unsigned count_;
    std::unique_ptr<slot[]> slots_;
};

/// One `T` for each worker that asks, made when it asks first.
///
///     per_worker<cache> caches([&] { return cache(options); });
///     …                                     // on any worker:
///     caches->put(key, value);              // the cache of the worker that this runs on
///
/// Made inside a run, and shared by reference: like anything that tasks on other workers refer to,
/// it outlives them. Its destructor does not wait: it posts to every worker what that one has to
/// destroy, so a `T` refers only to what it owns or to what outlives the run, unless close() was
/// awaited before.
template <class T>
class per_worker final : public per_worker_slots {
public:
    /// Each is `T()`.
    per_worker()
        requires std::default_initializable<T>
        : per_worker([] { return T(); }) {}

    /// Each is `make()`, called on its worker, perhaps on several at the same time. It may throw;
    /// then the next use tries again. `T` need not be movable.
    template <class Make>
        requires std::same_as<std::invoke_result_t<const std::decay_t<Make>&>, T>
    explicit per_worker(Make&& make)
        : maker_(std::make_unique<function_maker<std::decay_t<Make>>>(std::forward<Make>(make))) {}

    /// The one of the worker that this runs on.
    T& get() {
        if (node* made = here()) [[likely]]
            return static_cast<holder*>(made)->value;
        return make();
    }
    T& operator*() { return get(); }
    T* operator->() { return std::addressof(get()); }

    /// The same, or null when this worker has not asked yet.
    T* get_if() const noexcept {
        node* made = here();
        return made ? std::addressof(static_cast<holder*>(made)->value) : nullptr;
    }

private:
    struct maker;
    template <class Make>
    struct function_maker;

    struct holder final : node {
        explicit holder(const maker& by) { by.make_at(&value); }
        ~holder() override { value.~T(); }
        union {
            T value;
        };
    };

    /// Makes a T where it will stay.
    struct maker {
        virtual ~maker() = default;
        virtual void make_at(T* place) const = 0;
    };

    T& make() {
        auto made = std::make_unique<holder>(*maker_);
        T& value = made->value;
        keep(std::move(made));
        return value;
    }

    std::unique_ptr<const maker> maker_;
};

template <class T>
template <class Make>
struct per_worker<T>::function_maker final : maker {
    explicit function_maker(Make given) : make(std::move(given)) {}
    void make_at(T* place) const override { ::new (static_cast<void*>(place)) T(make()); }
    Make make;
};

}  // namespace ouro
