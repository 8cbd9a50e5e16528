// tls_ca.hpp: a certificate authority for tests, made with the openssl command when they run.
#pragma once

#include <ouro/net/tls/context.hpp>
#include <ouro/tests/temporary_folder.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace ouro {

/// What a certificate of the test authority is for, and how.
struct tls_certificate {
    /// The subject's CN; the files are named after it, so each has another.
    std::string common_name;
    /// As openssl writes them: "DNS:a.test", "IP:127.0.0.1".
    std::vector<std::string> names = {};
    /// "ec:P-256", "ed25519", "rsa:2048".
    std::string key = "ec:P-256";
    /// Signs for itself.
    bool self_signed = false;
    /// Is over since yesterday.
    bool expired = false;
    /// Encrypts the key.
    std::string password = {};
    /// What it may be used for, as openssl writes it: "clientAuth"; empty: everything.
    std::string usage = {};
    /// May sign for others, which name it as their issuer.
    bool authority = false;
    /// The common name of an authority that was issued before; empty: the root.
    std::string issuer = {};
    std::string digest = "sha256";
};

/// Signs certificates, in a folder of its own that is removed at the end. Making one takes about
/// 20 ms: share it in a program, and name certificates apart.
class tls_ca {
public:
    explicit tls_ca(const std::string& name = "Test CA") {
        openssl({"req",
                 "-x509",
                 "-new",
                 "-newkey",
                 "ec",
                 "-pkeyopt",
                 "ec_paramgen_curve:P-256",
                 "-nodes",
                 "-keyout",
                 file("ca.key"),
                 "-out",
                 file("ca.pem"),
                 "-subj",
                 "/CN=" + name,
                 "-days",
                 "3650",
                 "-addext",
                 "basicConstraints=critical,CA:TRUE",
                 "-addext",
                 "keyUsage=critical,keyCertSign,cRLSign"});
    }
    tls_ca(const tls_ca&) = delete;
    tls_ca& operator=(const tls_ca&) = delete;

    /// Whom to trust, as a file.
    std::string ca_file() const { return file("ca.pem"); }
    std::string file(const std::string& name) const { return folder_.file(name); }

    /// Makes a certificate and its key. Throws std::runtime_error with what openssl said.
    net::tls::identity issue(const tls_certificate& wanted) const {
        const std::string base = file(wanted.common_name);
        net::tls::identity made{.certificate_file = base + ".pem", .key_file = base + ".key"};
        std::vector<std::string> request = {"req",         "-new",  "-keyout",
                                            made.key_file, "-subj", "/CN=" + wanted.common_name};
        add_key(request, wanted);
        if (!wanted.names.empty()) add(request, {"-addext", "subjectAltName=" + joined(wanted)});
        if (!wanted.usage.empty()) add(request, {"-addext", "extendedKeyUsage=" + wanted.usage});
        if (wanted.authority)
            add(request, {"-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                          "keyUsage=critical,keyCertSign,cRLSign"});
        else if (!wanted.self_signed)
            add(request, {"-addext", "basicConstraints=critical,CA:FALSE"});
        if (wanted.self_signed) {
            add(request, {"-x509", "-days", "30", "-out", made.certificate_file});
            openssl(request);
            return made;
        }
        add(request, {"-out", base + ".csr"});
        openssl(request);
        const std::string by = file(wanted.issuer.empty() ? "ca" : wanted.issuer);
        openssl({"x509", "-req", "-in", base + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key",
                 "-CAcreateserial", "-copy_extensions", "copyall", "-" + wanted.digest, "-days",
                 wanted.expired ? "-1" : "30", "-out", made.certificate_file});
        return made;
    }

    /// Writes a file into its folder, and tells its name.
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(file(name)) << text;
        return file(name);
    }
    static std::string read(const std::string& name) {
        std::ifstream in(name);
        return {std::istreambuf_iterator<char>(in), {}};
    }

private:
    static void add(std::vector<std::string>& to, std::vector<std::string> words) {
        to.insert(to.end(), words.begin(), words.end());
    }

    static void add_key(std::vector<std::string>& to, const tls_certificate& wanted) {
        const std::size_t colon = wanted.key.find(':');
        if (wanted.key.starts_with("ec:"))
            add(to,
                {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:" + wanted.key.substr(colon + 1)});
        else
            add(to, {"-newkey", wanted.key});
        if (wanted.password.empty())
            add(to, {"-nodes"});
        else
            add(to, {"-passout", "pass:" + wanted.password});
    }

    static std::string joined(const tls_certificate& wanted) {
        std::string all;
        for (const std::string& each : wanted.names) all += (all.empty() ? "" : ",") + each;
        return all;
    }

    void openssl(const std::vector<std::string>& arguments) const {
        std::vector<char*> words = {const_cast<char*>("openssl")};
        for (const std::string& each : arguments) words.push_back(const_cast<char*>(each.c_str()));
        words.push_back(nullptr);
        const std::string log = file("openssl.log");
        posix_spawn_file_actions_t how;
        posix_spawn_file_actions_init(&how);
        posix_spawn_file_actions_addopen(&how, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&how, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        posix_spawn_file_actions_adddup2(&how, 1, 2);
        pid_t child = -1;
        const int failed = ::posix_spawnp(&child, words[0], &how, nullptr, words.data(), environ);
        posix_spawn_file_actions_destroy(&how);
        int status = 0;
        if (failed != 0 || ::waitpid(child, &status, 0) != child || status != 0)
            throw std::runtime_error("openssl " + arguments.front() + ": " + read(log));
    }

    temporary_folder folder_;
};

/// One for the whole program.
inline const tls_ca& shared_tls_ca() {
    static const tls_ca ca;
    return ca;
}

}  // namespace ouro
