#include <ouro/net/tls/pem.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <fcntl.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <climits>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>

namespace ouro::net::tls {
namespace {

constexpr std::size_t file_bytes_max = std::size_t{16} << 20;
constexpr std::size_t chain_max = 100;

[[noreturn]] void refuse(errc what, const std::string& file, std::string reason) {
    failure why;
    why.what = what;
    why.file = file;
    why.reason = std::move(reason);
    throw error(std::move(why));
}

/// PEM, and the name that messages give it.
struct source {
    std::string name, text;
};

source source_of(const std::string& file, const std::string& pem, const char* what) {
    if (file.empty()) return {what, pem};
    return {file, read_file(file)};
}

held<BIO> reader_of(const source& from) {
    return hold(BIO_new_mem_buf(from.text.data(), static_cast<int>(from.text.size())));
}

/// True when the reading ended since there is nothing more, and not because of what is there.
bool at_end() noexcept {
    const unsigned long last = ERR_peek_last_error();
    const bool end =
        ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return end;
}

/// The password for the library, which would else ask at the terminal.
struct password {
    const std::string& text;
    bool asked = false;

    static int give(char* into, int size, int, void* of) {
        auto& self = *static_cast<password*>(of);
        self.asked = true;
        if (self.text.empty() || self.text.size() > static_cast<std::size_t>(size)) return -1;
        std::memcpy(into, self.text.data(), self.text.size());
        return static_cast<int>(self.text.size());
    }
};

held<EVP_PKEY> read_key(const source& from, const std::string& secret) {
    const clean_queue errors;
    password with{secret};
    held<EVP_PKEY> key(
        PEM_read_bio_PrivateKey(reader_of(from).get(), nullptr, password::give, &with));
    if (key) return key;
    const bool encrypted = with.asked;
    if (encrypted) refuse(errc::encrypted_key, from.name, secret.empty() ? "" : "wrong password");
    refuse(errc::bad_key, from.name, errors.words());
}

void read_chain(const source& from, loaded_identity& into) {
    const clean_queue errors;
    const auto in = reader_of(from);
    std::string none;
    password with{none};
    into.leaf.reset(PEM_read_bio_X509_AUX(in.get(), nullptr, password::give, &with));
    if (!into.leaf) refuse(errc::bad_certificate, from.name, errors.words());
    while (into.chain.size() < chain_max) {
        held<X509> next(PEM_read_bio_X509(in.get(), nullptr, password::give, &with));
        if (next) {
            into.chain.push_back(std::move(next));
            continue;
        }
        const std::string words = errors.words();
        if (!at_end()) refuse(errc::bad_certificate, from.name, words);
        return;
    }
    refuse(errc::bad_certificate, from.name, "too many of them in a chain");
}

void check_time(const X509& leaf, const source& from) {
    if (X509_cmp_current_time(X509_get0_notAfter(&leaf)) < 0)
        refuse(errc::certificate_expired, from.name, "it has expired");
    if (X509_cmp_current_time(X509_get0_notBefore(&leaf)) > 0)
        refuse(errc::certificate_expired, from.name, "it is not valid yet");
}

}  // namespace

std::string read_file(const std::string& name) {
    auto fail = [&](int error) {
        throw std::system_error(error, std::system_category(), "cannot read " + name);
    };
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(errno);
    std::string all;
    char block[16 * 1024];
    ssize_t got = 0;
    while (all.size() <= file_bytes_max && (got = ::read(fd, block, sizeof block)) > 0)
        all.append(block, static_cast<std::size_t>(got));
    const int error = got < 0 ? errno : all.size() > file_bytes_max ? EFBIG : 0;
    ::close(fd);
    if (error != 0) fail(error);
    return all;
}

loaded_identity load_identity(const identity& from, bool refuse_expired) {
    const clean_queue errors;
    loaded_identity made;
    const source own =
        source_of(from.certificate_file, from.certificate_pem, "the certificate that was given");
    read_chain(own, made);
    const bool together = from.key_file.empty() && from.key_pem.empty();
    const source key =
        together ? own : source_of(from.key_file, from.key_pem, "the key that was given");
    made.key = read_key(key, from.key_password);
    if (X509_check_private_key(made.leaf.get(), made.key.get()) != 1)
        refuse(errc::key_mismatch, key.name, "it is not the key of " + own.name);
    if (refuse_expired) check_time(*made.leaf, own);
    made.names = certificate_names(*made.leaf);
    for (std::string& each : made.names)
        for (char& letter : each)
            letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    return made;
}

held<x509_store_st> load_authorities(const std::string& file, const std::string& pem) {
    const clean_queue errors;
    const source from = source_of(file, pem, "the authorities that were given");
    const auto in = reader_of(from);
    auto store = hold(X509_STORE_new());
    std::string none;
    password with{none};
    std::size_t count = 0;
    for (;;) {
        const held<X509> next(PEM_read_bio_X509_AUX(in.get(), nullptr, password::give, &with));
        if (!next) break;
        if (X509_STORE_add_cert(store.get(), next.get()) != 1) throw std::bad_alloc();
        ++count;
    }
    const std::string words = errors.words();
    if (!at_end() || count == 0)
        refuse(errc::bad_certificate, from.name, count == 0 ? "there is none" : words);
    return store;
}

held<x509_store_st> share(x509_store_st& store) noexcept {
    X509_STORE_up_ref(&store);
    return held<x509_store_st>(&store);
}

held<x509_store_st> system_authorities(bool again) {
    static std::mutex lock;
    static held<x509_store_st> kept;
    const clean_queue errors;
    const std::lock_guard only(lock);
    if (!kept || again) {
        auto store = hold(X509_STORE_new());
        if (X509_STORE_set_default_paths(store.get()) != 1)
            refuse(errc::bad_certificate, "the system's authorities", errors.words());
        kept = std::move(store);
    }
    return share(*kept);
}

}  // namespace ouro::net::tls
