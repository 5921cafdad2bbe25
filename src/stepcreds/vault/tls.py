"""Which certificates Vault must show, and what a failed handshake means; it connects to nothing."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from stepcreds.config.model import VaultSettings
from stepcreds.errors import VaultError
from stepcreds.printable import one_line

# OpenSSL's X509_V_ERR_* numbers: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID, _EXPIRED = 9, 10
_HOSTNAME_MISMATCH, _IP_MISMATCH = 62, 64
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


def client_context(settings: VaultSettings) -> ssl.SSLContext:
    """The TLS context for `settings`. Raises `VaultError` for a certificate or key that cannot be used.

    Without `ca_cert` these are the system's CAs, because that is where an administrator puts a private one and what
    `bao`, `curl` and SSL_CERT_FILE mean; certifi's list is used only on a machine that has none at all.
    """
    # PROTOCOL_TLS_CLIENT, and not create_default_context: from Python 3.13 on that also sets VERIFY_X509_STRICT,
    # which refuses private CAs that Vault's own client accepts. A step must not depend on the Python it runs on.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_cert is not None:
        _trust(context, settings.ca_cert)
    else:
        context.load_default_certs()
        if not context.cert_store_stats()["x509"] and not _has_hashed_folder():
            import certifi

            context.load_verify_locations(certifi.where())
    if settings.client_cert is not None:
        _present(context, settings.client_cert, settings.client_key)
    return context


def _has_hashed_folder() -> bool:
    """Whether the system has a folder of CAs under their hashes, which OpenSSL reads only when it needs one."""
    folder = ssl.get_default_verify_paths().capath
    try:
        return folder is not None and any(re.fullmatch(r"[0-9a-f]{8}\.\d+", f.name) for f in Path(folder).iterdir())
    except OSError:
        return False


def _trust(context: ssl.SSLContext, path: Path) -> None:
    # A folder is read as Vault's own client reads VAULT_CAPATH: every file, whatever its name. OpenSSL's way needs
    # names made by c_rehash, and says nothing when they are not there.
    try:
        files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
        found = sum(_load(context, file) for file in files)
    except OSError as error:
        raise VaultError(
            f"The CA certificate for Vault cannot be read: {path}: {error.strerror}",
            fix="Correct vault.ca_cert in stepcreds.yml, or VAULT_CACERT.",
            docs="vault-tls",
        ) from None
    if not found:
        raise VaultError(
            f"There is no certificate in {path}",
            cause="A CA certificate is a text file (PEM) with the line -----BEGIN CERTIFICATE-----.",
            fix="Correct vault.ca_cert in stepcreds.yml, or VAULT_CACERT.",
            docs="vault-tls",
        )


def _load(context: ssl.SSLContext, file: Path) -> bool:
    """Whether `file` holds certificates."""
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        return False
    return True


def _present(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    what = f"The client certificate for Vault cannot be used: {certificate}"
    if key is not None:
        what += f" with {key}"
    reason = ""
    try:
        # The empty password: without one OpenSSL would ask on the terminal for that of an encrypted key.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        reason = "the key belongs to another certificate" if mismatch else "not PEM, or the key is encrypted"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise VaultError(
            f"{what}: {reason}",
            fix="Correct vault.client_cert and vault.client_key in stepcreds.yml, or VAULT_CLIENT_CERT and "
            "VAULT_CLIENT_KEY; the key must not be encrypted.",
            docs="vault-tls",
        )


def explain_tls(error: ssl.SSLError, address: str, settings: VaultSettings) -> VaultError | None:
    """Why the handshake with `address` failed and what to change; None where trying again may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, address, settings)
    reason = error.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return VaultError(
            f"Vault at {address} does not speak TLS",
            cause="The address says https, and what answers there is not TLS: plain HTTP, or another service.",
            fix=f"Correct the port, or use http://{address.partition('://')[2]} if this Vault really has no TLS.",
            docs="vault-tls",
        )
    # TLS 1.3 has an alert for it; before that a server that misses a client's certificate only fails the handshake.
    if "ALERT" in reason and any(part in reason for part in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")):
        alert = reason.rpartition("ALERT_")[2].lower().replace("_", " ")  # what stands before differs by OpenSSL
        sent = settings.client_cert
        return VaultError(
            f"Vault at {address} refused the TLS handshake: {one_line(alert)}",
            cause="It asks its clients for a certificate, and "
            + (f"does not accept {sent}." if sent is not None else "none is configured."),
            fix="Set vault.client_cert and vault.client_key in stepcreds.yml (or VAULT_CLIENT_CERT and "
            "VAULT_CLIENT_KEY) to a certificate that this Vault accepts.",
            docs="vault-tls",
        )
    return None


def _explain_certificate(error: ssl.SSLCertVerificationError, address: str, settings: VaultSettings) -> VaultError:
    said = one_line(str(error.verify_message)).rstrip(".")
    host = address.partition("://")[2]
    code = error.verify_code
    if code in (_EXPIRED, _NOT_YET_VALID):
        cause = "A certificate in Vault's chain is outside its dates, or this machine's clock is wrong."
        fix = "Renew the certificate on the server, or set this machine's clock."
    elif code in (_HOSTNAME_MISMATCH, _IP_MISMATCH):
        cause = f"The certificate was made for another name than the one in the address {address}."
        fix = "Use an address whose name is in the certificate, or have the certificate made for this name as well."
    elif code in _UNKNOWN_ISSUER and settings.ca_cert is not None:
        cause = f"The CA that signed Vault's certificate is not in {settings.ca_cert}."
        fix = "Point vault.ca_cert in stepcreds.yml (or VAULT_CACERT) at the CA that signed it."
    elif code in _UNKNOWN_ISSUER:
        cause = "The CA that signed Vault's certificate is not among the system's CAs."
        fix = "Set vault.ca_cert in stepcreds.yml (or VAULT_CACERT) to the CA that signed it."
    else:
        cause = "Vault's certificate does not stand up to verification."
        fix = "Have the certificate made anew."
    return VaultError(
        f"The TLS certificate of Vault at {address} is not accepted: {said}",
        cause=cause,
        fix=f"{fix} To see the certificate:\n  openssl s_client -connect {host} -showcerts </dev/null",
        docs="vault-tls",
    )
