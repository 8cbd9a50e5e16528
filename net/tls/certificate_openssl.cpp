#include <ouro/net/tls/certificate.hpp>
#include <ouro/net/tls/openssl.hpp>

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <ctime>
#include <memory>

namespace ouro::net::tls {
namespace {

struct free_names {
    void operator()(GENERAL_NAMES* names) const noexcept { GENERAL_NAMES_free(names); }
};

std::string text_of(const X509_NAME* name) {
    const auto out = hold(BIO_new(BIO_s_mem()));
    // Quoted, so that nothing in it reads like another part, or like a line of a log.
    constexpr unsigned long how = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
    X509_NAME_print_ex(out.get(), name, 0, how);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

/// With what is no printable ASCII replaced: names go into messages.
std::string plain_text(const ASN1_STRING* from) {
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(from)),
                     static_cast<std::size_t>(ASN1_STRING_length(from)));
    for (char& each : text)
        if (each < ' ' || each > '~') each = '?';
    return text;
}

std::string address_text(const ASN1_STRING* from) {
    char text[INET6_ADDRSTRLEN];
    const int family = ASN1_STRING_length(from) == 4    ? AF_INET
                       : ASN1_STRING_length(from) == 16 ? AF_INET6
                                                        : -1;
    if (family < 0 || !::inet_ntop(family, ASN1_STRING_get0_data(from), text, sizeof text))
        return "?";
    return text;
}

std::int64_t seconds_of(const ASN1_TIME* when) {
    std::tm parts{};
    return when && ASN1_TIME_to_tm(when, &parts) == 1 ? ::timegm(&parts) : 0;
}

}  // namespace

std::vector<std::string> certificate_names(const x509_st& from, std::size_t max) {
    std::vector<std::string> all;
    const std::unique_ptr<GENERAL_NAMES, free_names> names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(&from, NID_subject_alt_name, nullptr, nullptr)));
    const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
    for (int i = 0; i < count && all.size() < max; ++i) {
        const GENERAL_NAME* const each = sk_GENERAL_NAME_value(names.get(), i);
        switch (each->type) {
            case GEN_DNS: all.push_back(plain_text(each->d.dNSName)); break;
            case GEN_IPADD: all.push_back(address_text(each->d.iPAddress)); break;
            case GEN_EMAIL: all.push_back("email:" + plain_text(each->d.rfc822Name)); break;
            case GEN_URI:
                all.push_back("uri:" + plain_text(each->d.uniformResourceIdentifier));
                break;
            default: break;
        }
    }
    return all;
}

certificate read_certificate(const x509_st& from) {
    const clean_queue errors;
    certificate read;
    read.subject = text_of(X509_get_subject_name(&from));
    read.issuer = text_of(X509_get_issuer_name(&from));
    read.names = certificate_names(from);
    read.valid_from = seconds_of(X509_get0_notBefore(&from));
    read.valid_until = seconds_of(X509_get0_notAfter(&from));
    if (const int size = i2d_X509(&from, nullptr); size > 0) {
        read.der.resize(static_cast<std::size_t>(size));
        auto* at = reinterpret_cast<unsigned char*>(read.der.data());
        i2d_X509(&from, &at);
    }
    unsigned size = 0;
    X509_digest(&from, EVP_sha256(), read.fingerprint.data(), &size);
    return read;
}

std::vector<std::byte> end_point_digest(const x509_st& of) {
    const clean_queue errors;
    int digest = NID_undef;
    if (X509_get_signature_info(const_cast<x509_st*>(&of), &digest, nullptr, nullptr, nullptr) != 1)
        return {};
    if (digest == NID_md5 || digest == NID_sha1 || digest == NID_md5_sha1) digest = NID_sha256;
    const EVP_MD* const how = EVP_get_digestbynid(digest);
    unsigned char made[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (digest == NID_undef || !how || X509_digest(&of, how, made, &size) != 1) return {};
    const auto* const bytes = reinterpret_cast<const std::byte*>(made);
    return {bytes, bytes + size};
}

}  // namespace ouro::net::tls
