-- migrate:up
-- What Trombi needs to know of the host app: its users, events, members and photos.
--
-- Everything of Trombi's lies in the schema trombi; nothing is made, changed or dropped anywhere else, so that a host app
-- may have tables of the same names. Where pgvector is not installed yet, it goes where Supabase keeps extensions, or
-- into trombi where there is no such schema.
--
-- What a host put into public does not pass for a function of Postgres here.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
CREATE SCHEMA IF NOT EXISTS trombi;
-- Says that the schema is Trombi's (sql/preflight.py), which later migrations need not have come as far as to show.
COMMENT ON TABLE trombi.schema_migrations IS 'made by Trombi';
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
        EXECUTE format('CREATE EXTENSION vector SCHEMA %I',
            CASE WHEN to_regnamespace('extensions') IS NULL THEN 'trombi' ELSE 'extensions' END);
    END IF;
END
$$;

-- The search_path in which Trombi's statements are written: its own schema, and the one that pgvector is in. Every
-- migration begins by setting it, and shared/database.py sets it in every transaction. Functions have one of their own,
-- without pgvector's schema: a function that needs pgvector's operators has a body that is parsed when it is created.
CREATE FUNCTION trombi.trombi_search_path() RETURNS text
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT concat_ws(', ', 'trombi', CASE WHEN nspname <> 'trombi' THEN quote_ident(nspname) END, 'pg_temp')
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'
$$;
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- ---------------------------------------------------------------- the one form of an address

-- NFKC in small letters, without what nobody sees and blanks around it. Letters by a table, so that neither the
-- database's locale nor its provider has a say.
CREATE FUNCTION trombi_folded_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = trombi, pg_temp AS $$
DECLARE
    folded text := address;
    blank CONSTANT text := E' \t\n\u000b\f\r\u0085\u1680\u2028\u2029';
BEGIN
    IF folded !~ '[^\x01-\x7f]' THEN
        RETURN btrim(lower(folded COLLATE "C"), blank);
    END IF;
    folded := regexp_replace(normalize(folded, NFKC),
        '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164'
        '\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]'
        '|(?<![\u0600-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1cff])', '', 'g');
    folded := lower(replace(replace(folded, E'\u3002', '.'), E'\u0130', E'i\u0307') COLLATE "C");
    folded := translate(folded,
        'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĴĶĹĻĽŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽ'
        'ƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾ'
        'ɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙ'
        'КЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮ'
        'ӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖႠႡႢႣႤႥႦႧႨႩႪႫႬႭႮႯႰႱႲႳ'
        'ႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅჇჍᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹᎺᎻᎼᎽᎾᎿᏀᏁᏂᏃᏄᏅᏆᏇᏈᏉᏊᏋᏌᏍᏎᏏᏐᏑᏒᏓᏔᏕᏖᏗᏘᏙᏚᏛᏜᏝᏞᏟᏠᏡᏢᏣᏤᏥ'
        'ᏦᏧᏨᏩᏪᏫᏬᏭᏮᏯᏰᏱᏲᏳᏴᏵᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶ'
        'ḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲ'
        'ỴỶỸỺỼỾἈἉἊἋἌἍἎἏἘἙἚἛἜἝἨἩἪἫἬἭἮἯἸἹἺἻἼἽἾἿὈὉὊὋὌὍὙὛὝὟὨὩὪὫὬὭὮὯᾈᾉᾊᾋᾌᾍᾎᾏᾘᾙᾚᾛᾜᾝᾞᾟᾨᾩᾪᾫᾬᾭᾮᾯᾸᾹᾺᾼῈῊῌῘῙῚῨῩ'
        'ῪῬῸῺῼℲↃⰀⰁⰂⰃⰄⰅⰆⰇⰈⰉⰊⰋⰌⰍⰎⰏⰐⰑⰒⰓⰔⰕⰖⰗⰘⰙⰚⰛⰜⰝⰞⰟⰠⰡⰢⰣⰤⰥⰦⰧⰨⰩⰪⰫⰬⰭⰮⰯⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿⲀⲂⲄⲆⲈⲊⲌⲎⲐⲒⲔⲖⲘⲚⲜⲞⲠⲢⲤⲦ'
        'ⲨⲪⲬⲮⲰⲲⲴⲶⲸⲺⲼⲾⳀⳂⳄⳆⳈⳊⳌⳎⳐⳒⳔⳖⳘⳚⳜⳞⳠⳢⳫⳭⳲꙀꙂꙄꙆꙈꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚꜢꜤꜦꜨꜪꜬꜮꜲꜴꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊ'
        'ꝌꝎꝐꝒꝔꝖꝘꝚꝜꝞꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉꟐꟖꟘꟵ𐐀𐐁𐐂𐐃𐐄𐐅𐐆𐐇𐐈𐐉𐐊𐐋𐐌𐐍𐐎𐐏𐐐𐐑𐐒𐐓𐐔𐐕𐐖𐐗'
        '𐐘𐐙𐐚𐐛𐐜𐐝𐐞𐐟𐐠𐐡𐐢𐐣𐐤𐐥𐐦𐐧𐒰𐒱𐒲𐒳𐒴𐒵𐒶𐒷𐒸𐒹𐒺𐒻𐒼𐒽𐒾𐒿𐓀𐓁𐓂𐓃𐓄𐓅𐓆𐓇𐓈𐓉𐓊𐓋𐓌𐓍𐓎𐓏𐓐𐓑𐓒𐓓𐕰𐕱𐕲𐕳𐕴𐕵𐕶𐕷𐕸𐕹𐕺𐕼𐕽𐕾𐕿𐖀𐖁𐖂𐖃𐖄𐖅𐖆𐖇𐖈𐖉𐖊𐖌𐖍𐖎𐖏𐖐𐖑𐖒𐖔𐖕𐲀𐲁𐲂'
        '𐲃𐲄𐲅𐲆𐲇𐲈𐲉𐲊𐲋𐲌𐲍𐲎𐲏𐲐𐲑𐲒𐲓𐲔𐲕𐲖𐲗𐲘𐲙𐲚𐲛𐲜𐲝𐲞𐲟𐲠𐲡𐲢𐲣𐲤𐲥𐲦𐲧𐲨𐲩𐲪𐲫𐲬𐲭𐲮𐲯𐲰𐲱𐲲𑢠𑢡𑢢𑢣𑢤𑢥𑢦𑢧𑢨𑢩𑢪𑢫𑢬𑢭𑢮𑢯𑢰𑢱𑢲𑢳𑢴𑢵𑢶𑢷𑢸𑢹𑢺𑢻𑢼𑢽𑢾𑢿𖹀𖹁𖹂𖹃𖹄𖹅𖹆𖹇𖹈𖹉'
        '𖹊𖹋𖹌𖹍𖹎𖹏𖹐𖹑𖹒𖹓𖹔𖹕𖹖𖹗𖹘𖹙𖹚𖹛𖹜𖹝𖹞𖹟𞤀𞤁𞤂𞤃𞤄𞤅𞤆𞤇𞤈𞤉𞤊𞤋𞤌𞤍𞤎𞤏𞤐𞤑𞤒𞤓𞤔𞤕𞤖𞤗𞤘𞤙𞤚𞤛𞤜𞤝𞤞𞤟𞤠𞤡',
        'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĵķĺļľłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżž'
        'ɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦ'
        'ɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽѐёђѓєѕіїјљњћќѝўџабвгдежзий'
        'клмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯ'
        'ӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓ'
        'ⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥⴧⴭꭰꭱꭲꭳꭴꭵꭶꭷꭸꭹꭺꭻꭼꭽꭾꭿꮀꮁꮂꮃꮄꮅꮆꮇꮈꮉꮊꮋꮌꮍꮎꮏꮐꮑꮒꮓꮔꮕꮖꮗꮘꮙꮚꮛꮜꮝꮞꮟꮠꮡꮢꮣꮤꮥꮦꮧꮨꮩꮪꮫꮬꮭꮮꮯꮰꮱꮲꮳꮴꮵ'
        'ꮶꮷꮸꮹꮺꮻꮼꮽꮾꮿᏸᏹᏺᏻᏼᏽაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷ'
        'ḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳ'
        'ỵỷỹỻỽỿἀἁἂἃἄἅἆἇἐἑἒἓἔἕἠἡἢἣἤἥἦἧἰἱἲἳἴἵἶἷὀὁὂὃὄὅὑὓὕὗὠὡὢὣὤὥὦὧᾀᾁᾂᾃᾄᾅᾆᾇᾐᾑᾒᾓᾔᾕᾖᾗᾠᾡᾢᾣᾤᾥᾦᾧᾰᾱὰᾳὲὴῃῐῑὶῠῡ'
        'ὺῥὸὼῳⅎↄⰰⰱⰲⰳⰴⰵⰶⰷⰸⰹⰺⰻⰼⰽⰾⰿⱀⱁⱂⱃⱄⱅⱆⱇⱈⱉⱊⱋⱌⱍⱎⱏⱐⱑⱒⱓⱔⱕⱖⱗⱘⱙⱚⱛⱜⱝⱞⱟⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀⲁⲃⲅⲇⲉⲋⲍⲏⲑⲓⲕⲗⲙⲛⲝⲟⲡⲣⲥⲧ'
        'ⲩⲫⲭⲯⲱⲳⲵⲷⲹⲻⲽⲿⳁⳃⳅⳇⳉⳋⳍⳏⳑⳓⳕⳗⳙⳛⳝⳟⳡⳣⳬⳮⳳꙁꙃꙅꙇꙉꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛꜣꜥꜧꜩꜫꜭꜯꜳꜵꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋ'
        'ꝍꝏꝑꝓꝕꝗꝙꝛꝝꝟꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊꟑꟗꟙꟶ𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯𐐰𐐱𐐲𐐳𐐴𐐵𐐶𐐷𐐸𐐹𐐺𐐻𐐼𐐽𐐾𐐿'
        '𐑀𐑁𐑂𐑃𐑄𐑅𐑆𐑇𐑈𐑉𐑊𐑋𐑌𐑍𐑎𐑏𐓘𐓙𐓚𐓛𐓜𐓝𐓞𐓟𐓠𐓡𐓢𐓣𐓤𐓥𐓦𐓧𐓨𐓩𐓪𐓫𐓬𐓭𐓮𐓯𐓰𐓱𐓲𐓳𐓴𐓵𐓶𐓷𐓸𐓹𐓺𐓻𐖗𐖘𐖙𐖚𐖛𐖜𐖝𐖞𐖟𐖠𐖡𐖣𐖤𐖥𐖦𐖧𐖨𐖩𐖪𐖫𐖬𐖭𐖮𐖯𐖰𐖱𐖳𐖴𐖵𐖶𐖷𐖸𐖹𐖻𐖼𐳀𐳁𐳂'
        '𐳃𐳄𐳅𐳆𐳇𐳈𐳉𐳊𐳋𐳌𐳍𐳎𐳏𐳐𐳑𐳒𐳓𐳔𐳕𐳖𐳗𐳘𐳙𐳚𐳛𐳜𐳝𐳞𐳟𐳠𐳡𐳢𐳣𐳤𐳥𐳦𐳧𐳨𐳩𐳪𐳫𐳬𐳭𐳮𐳯𐳰𐳱𐳲𑣀𑣁𑣂𑣃𑣄𑣅𑣆𑣇𑣈𑣉𑣊𑣋𑣌𑣍𑣎𑣏𑣐𑣑𑣒𑣓𑣔𑣕𑣖𑣗𑣘𑣙𑣚𑣛𑣜𑣝𑣞𑣟𖹠𖹡𖹢𖹣𖹤𖹥𖹦𖹧𖹨𖹩'
        '𖹪𖹫𖹬𖹭𖹮𖹯𖹰𖹱𖹲𖹳𖹴𖹵𖹶𖹷𖹸𖹹𖹺𖹻𖹼𖹽𖹾𖹿𞤢𞤣𞤤𞤥𞤦𞤧𞤨𞤩𞤪𞤫𞤬𞤭𞤮𞤯𞤰𞤱𞤲𞤳𞤴𞤵𞤶𞤷𞤸𞤹𞤺𞤻𞤼𞤽𞤾𞤿𞥀𞥁𞥂𞥃');
    RETURN btrim(normalize(folded, NFKC), blank);
END
$$;

-- A domain's label in Unicode; as it is where it is no punycode (RFC 3492), or not of a label in its normal form.
CREATE FUNCTION trombi_unicode_label(label text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = trombi, pg_temp AS $$
DECLARE
    basic text := coalesce(substring(substr(label, 5) FROM '^(.*)-[^-]*$'), '');
    coded text := substring(substr(label, 5) FROM '[^-]*$');
    points bigint[] := '{}';
    point bigint := 128;
    place bigint := 0;
    bias bigint := 72;
    before bigint;
    weight bigint;
    base bigint;
    threshold bigint;
    digit bigint;
    at integer := 1;
    decoded text;
BEGIN
    IF label !~ '^xn--[a-z0-9-]+$' THEN
        RETURN label;
    END IF;
    IF basic <> '' THEN
        points := ARRAY(SELECT ascii(letter) FROM string_to_table(basic, NULL) AS letter);
    END IF;
    WHILE at <= length(coded) LOOP
        before := place;
        weight := 1;
        base := 36;
        LOOP
            IF at > length(coded) THEN
                RETURN label;
            END IF;
            digit := position(substr(coded, at, 1) IN 'abcdefghijklmnopqrstuvwxyz0123456789') - 1;
            at := at + 1;
            place := place + digit * weight;
            IF place > 1000000000000 THEN
                RETURN label;
            END IF;
            threshold := least(greatest(base - bias, 1), 26);
            EXIT WHEN digit < threshold;
            weight := weight * (36 - threshold);
            base := base + 36;
        END LOOP;
        -- Adapt the bias to how far it was.
        digit := (place - before) / CASE WHEN before = 0 AND cardinality(points) = length(basic) THEN 700 ELSE 2 END;
        digit := digit + digit / (cardinality(points) + 1);
        bias := 0;
        WHILE digit > 455 LOOP
            digit := digit / 35;
            bias := bias + 36;
        END LOOP;
        bias := bias + 36 * digit / (digit + 38);
        point := point + place / (cardinality(points) + 1);
        place := place % (cardinality(points) + 1);
        IF point > 1114111 OR point BETWEEN 55296 AND 57343 THEN
            RETURN label;
        END IF;
        points := points[1:place] || point || points[place + 1:];
        place := place + 1;
    END LOOP;
    SELECT string_agg(chr(value::integer), '' ORDER BY number) INTO decoded
    FROM unnest(points) WITH ORDINALITY AS listed (value, number);
    RETURN CASE WHEN decoded ~ '[^\x01-\x7f]' AND trombi_folded_address(decoded) = decoded THEN decoded ELSE label END;
END
$$;

-- The form in which addresses are kept and compared: shared/mailbox.py's normal_address.
CREATE FUNCTION trombi_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = trombi, pg_temp AS $$
DECLARE
    folded text := trombi_folded_address(address);
    parts text[] := regexp_match(folded, '^(.*)@([^@]*)$');
    domain text := regexp_replace(parts[2], '\.$', '');
BEGIN
    IF parts IS NULL THEN
        RETURN folded;
    END IF;
    IF position('xn--' IN domain) > 0 THEN
        domain := (SELECT string_agg(trombi_unicode_label(label), '.' ORDER BY number)
            FROM string_to_table(domain, '.') WITH ORDINALITY AS listed (label, number));
    END IF;
    -- Lower case does not tell which sigma a capital one was: in the local part its position in the word decides.
    RETURN regexp_replace(translate(parts[1], 'ς', 'σ'),
        '(?<=[\u0370-\u03ff\u1f00-\u1fff])σ(?![\u0370-\u03ff\u1f00-\u1fff])', 'ς', 'g') || '@' || domain;
END
$$;

-- ---------------------------------------------------------------- users, events, members

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- As the host app spells it; compared by trombi_address.
    email text,
    display_name text,
    -- Made for a guest who accepted an invitation: it goes with the last event that knows it.
    made_by_invitation boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Says that Trombi may add accounts of guests (users_are_ours in functions/admin/invitations/store.py).
COMMENT ON TABLE users IS 'made by Trombi';
CREATE INDEX users_address_idx ON users (trombi_address(email));

CREATE TABLE events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    creator_id uuid REFERENCES users (id) ON DELETE SET NULL,
    language text NOT NULL DEFAULT 'fr' CHECK (language ~ '^[a-z]{2}(-[A-Z]{2})?$'),
    face_recognition_enabled boolean NOT NULL DEFAULT false,
    consent_text_version text,
    consented_at timestamptz,
    archived_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Nothing runs without consent, and consent without the text that was shown is none.
    CONSTRAINT events_consent_is_recorded CHECK (
        NOT face_recognition_enabled OR (consent_text_version IS NOT NULL AND consented_at IS NOT NULL)
    )
);

CREATE TABLE event_members (
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'organizer', 'member')),
    PRIMARY KEY (event_id, user_id)
);
CREATE INDEX event_members_user_idx ON event_members (user_id);

-- Words as people look for them: small letters without accents, one space between two. Without the extension
-- unaccent, which not every host has; needs a database in UTF8.
CREATE FUNCTION trombi_folded(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = trombi, pg_temp
    RETURN btrim(regexp_replace(
        replace(replace(replace(translate(
            lower(regexp_replace(normalize(words, NFKD), '[\u0300-\u036f]', '', 'g')),
            'øłđð', 'oldd'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
        '[[:space:]''’.,_-]+', ' ', 'g'
    ));

-- Whether each word of what is asked for begins a word of the name.
CREATE FUNCTION trombi_has_words(name text, asked text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp
    RETURN NOT EXISTS (
        SELECT FROM regexp_split_to_table(trombi_folded(asked), ' ') AS word
        WHERE position(' ' || word IN ' ' || coalesce(trombi_folded(name), '')) = 0
    );

-- ---------------------------------------------------------------- photos

CREATE TABLE media (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    bucket text,
    object_name text,
    -- Generation of the object whose faces are (or are about to be) held; null until it is known.
    object_generation bigint,
    -- Newest generation known to be deleted: a late or repeated upload message at or below it changes nothing.
    deleted_generation bigint NOT NULL DEFAULT 0,
    -- What the photo's faces were last found in, written with them: Cloud Storage's checksum of the bytes, and a
    -- perceptual hash of the whole photo (functions/detect/picture_hash.py).
    faces_crc32c text,
    faces_picture_hash bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What the foreign keys of faces refer to, so that a row can never point into another event.
    CONSTRAINT media_id_event_key UNIQUE (id, event_id)
);
CREATE INDEX media_event_idx ON media (event_id);
-- Announced photos that were never uploaded: the sweep and the debounce look for them.
CREATE INDEX media_announced_idx ON media (created_at) WHERE object_generation IS NULL AND deleted_generation = 0;

-- Who writes another object's name into a photo's row announces it as the photo's new object: what was known of the
-- one before (generation, deletion) is not true of it. Detect writes name and generation together.
CREATE FUNCTION trombi_announce_object() RETURNS trigger
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
BEGIN
    NEW.object_generation := NULL;
    NEW.deleted_generation := 0;
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_announce_object BEFORE UPDATE OF bucket, object_name ON media
    FOR EACH ROW WHEN (
        (OLD.bucket, OLD.object_name) IS DISTINCT FROM (NEW.bucket, NEW.object_name)
        AND OLD.object_generation IS NOT DISTINCT FROM NEW.object_generation
        AND OLD.object_generation IS NOT NULL
    ) EXECUTE FUNCTION trombi_announce_object();

-- ---------------------------------------------------------------- who is asking

-- The user of the request, as PostgREST hands over the verified token's claims; null outside a request.
CREATE FUNCTION trombi_user_id() RETURNS uuid
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp
    RETURN (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;


-- The following run with the owner's rights, so that a policy may ask about membership without being bound by the policy
-- of event_members.
CREATE FUNCTION trombi_is_member(event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT EXISTS (
        SELECT FROM event_members WHERE event_id = event AND user_id = trombi_user_id()
    ) $$;
CREATE FUNCTION trombi_is_organiser(event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT EXISTS (
        SELECT FROM event_members
        WHERE event_id = event AND user_id = trombi_user_id() AND role IN ('owner', 'organizer')
    ) $$;

-- The second lock behind functions/admin/access.py, for what runs with the owner's rights: a user's request is about
-- that user, or made by an organiser of the event. Without a user (a function, an operator) nothing is asked.
CREATE FUNCTION trombi_require_self_or_organiser(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    IF trombi_user_id() IS NULL AND coalesce(current_setting('role', true), 'none') <> 'trombi_reviewer' THEN
        RETURN;
    END IF;
    IF coalesce(trombi_user_id() = of_user, false) OR coalesce(trombi_is_organiser(of_event), false) THEN
        RETURN;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'not for this user';
END
$$;

-- migrate:down
