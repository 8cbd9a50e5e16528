// holding.hpp: what guards and permits are made of: a share of a primitive, given back once.
#pragma once

#include <ouro/runtime/check.hpp>

#include <utility>

namespace ouro {

/// A share of an `Of`, such as its lock or some permits: one owner, moved and not copied, given
/// back when it dies. The primitive must outlive it.
///
/// `Share` is what is held of it, and has `give_back(Of&)`, which must not throw. One without
/// members costs nothing: a holding is then a pointer.
template <class Of, class Share>
class holding {
public:
    /// Holds nothing.
    holding() noexcept = default;
    holding(holding&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), share_(other.share_) {}
    holding& operator=(holding&& other) noexcept {
        holding taken(std::move(other));
        std::swap(of_, taken.of_);
        std::swap(share_, taken.share_);
        return *this;
    }
    ~holding() {
        if (of_) share_.give_back(*of_);
    }

    /// Whether it holds something.
    explicit operator bool() const noexcept { return of_ != nullptr; }

protected:
    explicit holding(Of& of, Share share = {}) noexcept : of_(&of), share_(share) {}

    /// Gives back what it holds before it dies.
    void give_back() noexcept { share_.give_back(let_go()); }
    /// Holds nothing any more, and gives nothing back: the caller sees to that.
    Of& let_go() noexcept {
        OURO_ASSERT(of_ != nullptr);
        return *std::exchange(of_, nullptr);
    }

    /// What it holds a share of; it holds something.
    Of& of() const noexcept { return *of_; }
    const Share& share() const noexcept { return share_; }

private:
    Of* of_ = nullptr;
    [[no_unique_address]] Share share_ = {};
};

}  // namespace ouro
