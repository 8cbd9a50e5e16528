// context_core.hpp: what a context is made of: generations, and in each a part for each worker.
#pragma once

#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/openssl.hpp>
#include <ouro/net/tls/session_cache.hpp>

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

struct x509_store_ctx_st;

namespace ouro::net::tls {

/// Workers with numbers that differ by so much share a part; it has a lock for that case.
inline constexpr unsigned worker_parts = 64;

using all_figures = std::array<worker_figures, worker_parts>;

/// What was read at one time. Connections hold theirs.
class generation {
public:
    virtual ~generation() = default;
    generation(const generation&) = delete;
    generation& operator=(const generation&) = delete;

    struct part {
        std::mutex lock;  // its own worker only asks, so it is free
        held<ssl_ctx_st> library;
        session_cache sessions;
    };
    part& of(unsigned worker) noexcept { return parts_[worker % worker_parts]; }
    /// A new connection of the library's. Throws std::bad_alloc.
    held<ssl_st> connection(unsigned worker);
    /// Makes the first part, so that what the library refuses is told now.
    void try_out() { connection(0); }

    std::size_t sessions() noexcept;
    /// Keeps the figures for connections that outlive the context.
    void keep(std::shared_ptr<all_figures> figures) noexcept { figures_ = std::move(figures); }

protected:
    generation() = default;

    /// Throws tls::error for what the library refuses.
    virtual held<ssl_ctx_st> make(part& with) = 0;

private:
    std::array<part, worker_parts> parts_;
    std::shared_ptr<all_figures> figures_;
};

/// A context's current generation, and what outlives it.
class context_core {
public:
    virtual ~context_core() = default;

    std::shared_ptr<generation> now() const {
        const std::lock_guard only(lock_);
        return now_;
    }
    void change(std::shared_ptr<generation> next) noexcept {
        next->keep(figures_);
        const std::lock_guard only(lock_);
        now_.swap(next);
    }

    const all_figures& figures() const noexcept { return *figures_; }
    worker_figures& figures_of(unsigned worker) const noexcept {
        return (*figures_)[worker % worker_parts];
    }

protected:
    context_core() = default;

private:
    mutable std::mutex lock_;
    std::shared_ptr<generation> now_;
    std::shared_ptr<all_figures> figures_ = std::make_shared<all_figures>();
};

/// Names of application protocols as ALPN sends them. Throws errc::bad_option.
std::string alpn_wire(const std::vector<std::string>& names);

/// A context of the library's for one side, with what both sides have in common. Throws tls::error.
held<ssl_ctx_st> make_library_context(side which, const protocol_options& options);

struct loaded_identity;

/// Certificate, chain and key. Throws tls::error when the library refuses them.
void use_identity(ssl_ctx_st& in, const loaded_identity& made);
bool use_identity(ssl_st& in, const loaded_identity& made) noexcept;

[[noreturn]] void refuse_option(std::string reason);

/// Has the library tell the engine what is wrong with a certificate.
int judge_certificate(int fine, x509_store_ctx_st* with) noexcept;

/// The file that keys are logged to; appended to by all workers. Throws std::system_error.
void log_keys_of(ssl_ctx_st& library, const std::string& file);

}  // namespace ouro::net::tls
