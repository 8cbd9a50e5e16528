// intrusive_list.hpp: a doubly linked list whose links live in its elements; no allocation.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstddef>

namespace ouro {

/// The links of one element; derive from it. An element unlinks itself in O(1) and must be
/// unlinked when it dies. `Tag` allows one object to be in several kinds of list.
template <class Tag = void>
class list_hook {
public:
    list_hook() noexcept = default;
    list_hook(const list_hook&) = delete;
    list_hook& operator=(const list_hook&) = delete;
    ~list_hook() { OURO_ASSERT(!linked()); }

    bool linked() const noexcept { return next_ != nullptr; }

    /// Leaves the list it is in.
    void unlink() noexcept {
        OURO_ASSERT(linked());
        prev_->next_ = next_;
        next_->prev_ = prev_;
        next_ = prev_ = nullptr;
    }

private:
    template <class T, class U>
    friend class intrusive_list;

    list_hook* next_ = nullptr;
    list_hook* prev_ = nullptr;
};

/// First in, first out by default. Owns nothing; must be empty when it dies.
template <class T, class Tag = void>
class intrusive_list {
    using hook = list_hook<Tag>;

public:
    intrusive_list() noexcept { reset(); }
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;
    ~intrusive_list() {
        OURO_ASSERT(empty());
        head_.next_ = head_.prev_ = nullptr;  // the sentinel is a hook, too
    }

    bool empty() const noexcept { return head_.next_ == &head_; }

    void push_back(T& element) noexcept { insert_before(head_, element); }
    void push_front(T& element) noexcept { insert_before(*head_.next_, element); }

    T& front() noexcept {
        OURO_ASSERT(!empty());
        return static_cast<T&>(*head_.next_);
    }

    T& pop_front() noexcept {
        T& element = front();
        static_cast<hook&>(element).unlink();
        return element;
    }

    /// Takes every element of `other`, in order, behind its own.
    void splice_back(intrusive_list& other) noexcept {
        OURO_ASSERT(&other != this);
        if (other.empty()) return;
        hook* first = other.head_.next_;
        hook* last = other.head_.prev_;
        other.reset();
        first->prev_ = head_.prev_;
        head_.prev_->next_ = first;
        last->next_ = &head_;
        head_.prev_ = last;
    }

    /// Calls `visit(T&)` for each element from front to back. The visitor may unlink the element
    /// it is given, and no other.
    template <class Visitor>
    void for_each(Visitor&& visit) {
        for (hook* at = head_.next_; at != &head_;) {
            hook* following = at->next_;
            visit(static_cast<T&>(*at));
            at = following;
        }
    }

    /// The same until the visitor answers false.
    template <class Visitor>
    void for_each_while(Visitor&& visit) {
        for (hook* at = head_.next_; at != &head_;) {
            hook* following = at->next_;
            if (!visit(static_cast<T&>(*at))) return;
            at = following;
        }
    }

    /// Walks the list; for reports and tests.
    std::size_t count() const noexcept {
        std::size_t n = 0;
        for (const hook* at = head_.next_; at != &head_; at = at->next_) ++n;
        return n;
    }

private:
    void reset() noexcept { head_.next_ = head_.prev_ = &head_; }

    void insert_before(hook& where, T& element) noexcept {
        hook& link = static_cast<hook&>(element);
        OURO_ASSERT(!link.linked());
        link.next_ = &where;
        link.prev_ = where.prev_;
        where.prev_->next_ = &link;
        where.prev_ = &link;
    }

    hook head_;
};

}  // namespace ouro
