#compdef migctl
# zsh completion for migctl. Install as share/zsh/site-functions/_migctl.

_migctl_capabilities() {
    local -a ids
    ids=(${(f)"$(migctl discover --timeout 1 2>/dev/null | awk 'NR > 1 {print $1}')"})
    compadd -a ids
}

_migctl_plugin_names() {
    local -a names
    names=(${(f)"$(migctl plugins --timeout 1 2>/dev/null | awk 'NR > 1 {print $1}')"})
    compadd -a names
}

_migctl() {
    local context state line
    typeset -A opt_args
    local -a common commands
    common=(
        '--url[address of the daemon]:url:_urls'
        '--tenant[tenant of the call]:tenant:'
        '--token[bearer token, or @FILE]:token:'
        '--actor[who calls]:name:'
        '--admin-key[key for admin commands]:key:'
        '--timeout[give up after this time]:seconds:'
        '--http2[speak HTTP/2]'
        '--ca[certificates to trust]:file:_files'
        '--cert[own certificate]:file:_files'
        '--cert-key[key of the own certificate]:file:_files'
        '--insecure[take any certificate]'
        '--json[print the body of the answer as it came]'
        '(- *)'{-h,--help}'[explain a command]'
        '(- *)'{-V,--version}'[print the version]'
    )
    commands=(
        'hello:ask who is there'
        'discover:list capabilities'
        'invoke:call a capability'
        'cancel:cancel a running call'
        'publish:publish an event'
        'subscribe:print events as they come'
        'conformance:check a gateway against MIG v0.1'
        'plugins:list, show or reload plugins'
        'reload:read plugins, manifest and settings again'
        'instances:list provider instances'
        'new:write a template'
        'validate:check settings and manifests'
        'check:check plugins against the contract'
        'help:explain a command'
    )
    _arguments -C $common '1:command:->command' '*::argument:->argument'
    case $state in
    command) _describe command commands ;;
    argument)
        case $line[1] in
        discover) _arguments $common '--query[part of an id or topic]:text:' ;;
        invoke) _arguments $common '--message-id[id of the call]:id:' \
            '--idempotency-key[a repeat gets the first answer]:key:' \
            '--cap-version[version pin]:version:' '--stream[frames as they come]' '1:capability:_migctl_capabilities' '2:payload:' ;;
        cancel) _arguments $common '--reason[why]:text:' '1:message id:' ;;
        publish) _arguments $common '--key[what the event is about]:key:' \
            '--idempotency-key[a repeat publishes nothing new]:key:' '--message-id[id of the request]:id:' \
            '1:topic:' '2:payload:' ;;
        subscribe) _arguments $common '--consumer[go on where this reader stopped]:id:' \
            '--cursor[events behind this number]:number:' '--max[stop after so many events]:number:' \
            '1:topic:' ;;
        conformance) _arguments $common '--profile[what to check]:profile:(core streaming evented full)' \
            '--capability[what to call]:id:_migctl_capabilities' '--second-tenant[another tenant]:id:' \
            '--second-token[its token]:token:' '--only[ids that begin so]:id:' '--list[name the checks]' ;;
        plugins) _arguments $common '1:verb:(list show reload)' '2:plugin:_migctl_plugin_names' ;;
        reload) _arguments $common '--dry-run[change nothing]' ;;
        new) _arguments $common '--manifest[write a manifest fragment too]' \
            '1:kind:(plugin lua manifest)' '2:name:' ;;
        validate) _arguments $common '*:file:_files -g "*.(yaml|yml|json)(-.)"' ;;
        check) _arguments $common '--no-run[run no code of the plugin]' '*:module:_files -g "*.so(-.)"' ;;
        help) _describe command commands ;;
        *) _arguments $common ;;
        esac ;;
    esac
}

_migctl "$@"
