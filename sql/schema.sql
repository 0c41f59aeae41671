-- Trombi's database, whole: psql "$DATABASE_URL" < sql/schema.sql
-- Written by make schema from sql/migrations; change those. One transaction: where anything fails, nothing is changed.
-- Clients other than psql do without the next line.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL standard_conforming_strings = on;
CREATE SCHEMA IF NOT EXISTS trombi;
CREATE TABLE trombi.schema_migrations (version varchar PRIMARY KEY);

-- ================================================================ 0001_host
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

-- ================================================================ 0002_jobs_and_bus
-- The work on photos and events, and the messages that ask for it.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

CREATE TABLE ml_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_type text NOT NULL CHECK (job_type IN ('detect', 'cluster')),
    -- Null when the message named no event that exists; the claimed ids are then in result.
    event_id uuid REFERENCES events (id) ON DELETE CASCADE,
    media_ids uuid[] NOT NULL DEFAULT '{}',
    -- Generation of the object that a detect job reads; 0 until it is known.
    object_generation bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('high', 'normal', 'low')),
    -- Counts how often the job was asked for; a message of an older run is stale.
    run integer NOT NULL DEFAULT 1 CHECK (run >= 1),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code text,
    error text,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When its message was last given to the bus; null for a job that waits to be released.
    released_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    -- When callback first recorded the outcome of this run.
    reported_at timestamptz,
    CONSTRAINT ml_jobs_end_has_a_time CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL)),
    CONSTRAINT ml_jobs_failure_has_a_reason CHECK (status <> 'failed' OR (error_code IS NOT NULL AND error IS NOT NULL)),
    CONSTRAINT ml_jobs_detect_has_one_photo CHECK (job_type <> 'detect' OR event_id IS NULL OR cardinality(media_ids) = 1)
);
CREATE UNIQUE INDEX ml_jobs_one_per_object_generation ON ml_jobs ((media_ids[1]), object_generation)
    WHERE job_type = 'detect' AND event_id IS NOT NULL;
CREATE UNIQUE INDEX ml_jobs_one_clustering_at_a_time ON ml_jobs (event_id)
    WHERE job_type = 'cluster' AND status IN ('pending', 'processing');
CREATE INDEX ml_jobs_event_idx ON ml_jobs (event_id, job_type, status);
-- What the sweep looks for: stuck and unreleased jobs, oldest first.
CREATE INDEX ml_jobs_open_idx ON ml_jobs (status, priority, created_at) WHERE status IN ('pending', 'processing');
CREATE INDEX ml_jobs_unplaced_idx ON ml_jobs (completed_at) WHERE event_id IS NULL;

-- One row per event, and the lock of whoever writes its persons, faces, tags or decisions: what the debounce needs to
-- know, and which model's embeddings the event holds.
CREATE TABLE event_counters (
    event_id uuid PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
    embedding_model text,
    -- Photos whose faces changed since clustering was last asked for, and when the first of them did.
    changed_photos integer NOT NULL DEFAULT 0 CHECK (changed_photos >= 0),
    first_change_at timestamptz,
    last_requested_at timestamptz,
    -- Grows with every human decision: a clustering run that computed on older ones plans again.
    decision_version bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_counters_model_key UNIQUE (event_id, embedding_model),
    CONSTRAINT event_counters_change_has_a_time CHECK ((changed_photos > 0) = (first_change_at IS NOT NULL))
);
CREATE INDEX event_counters_changed_idx ON event_counters (first_change_at) WHERE changed_photos > 0;
-- Events that were clustered within the last day: the sweep looks for those whose end was not announced yet.
CREATE INDEX event_counters_requested_idx ON event_counters (last_requested_at);

-- What a clustering run did.
CREATE TABLE cluster_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES ml_jobs (id) ON DELETE CASCADE,
    run integer NOT NULL,
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    faces integer NOT NULL CHECK (faces >= 0),
    clusters integer NOT NULL CHECK (clusters >= 0),
    persons integer NOT NULL CHECK (persons >= 0),
    noise integer NOT NULL CHECK (noise BETWEEN 0 AND faces),
    noise_ratio real GENERATED ALWAYS AS (CASE WHEN faces = 0 THEN 0 ELSE noise::real / faces END) STORED,
    -- Null where it is not defined (fewer than two clusters).
    silhouette real CHECK (silhouette BETWEEN -1 AND 1),
    -- Faces that had a person before this run and have another, or none, after it.
    churn integer NOT NULL CHECK (churn >= 0),
    suggestions integer NOT NULL CHECK (suggestions >= 0),
    milliseconds jsonb NOT NULL,
    parameters jsonb NOT NULL,
    embedding_model text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the event's creator was written to about this run: once, however often the notification is delivered.
    told_at timestamptz,
    UNIQUE (job_id, run)
);
CREATE INDEX cluster_runs_event_idx ON cluster_runs (event_id, created_at DESC);

-- What is to happen outside the database once the transaction that wrote the row has committed.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('publish', 'delete_objects')),
    topic text,
    data jsonb,
    attributes jsonb NOT NULL DEFAULT '{}',
    -- A deletion without a bucket is one in the derived bucket of this deployment: a trigger, which knows no bucket, can
    -- ask for it.
    bucket text,
    object_prefix text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The deletion of a thumbnail is written before the thumbnail is uploaded, and taken back when a face refers to it:
    -- a thumbnail whose face was never written (a crash) does not stay. Until then it is not due.
    due_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    -- The receipt (purge_receipts) that a deletion belongs to: it is complete once the last of them is done.
    receipt_id uuid,
    CONSTRAINT outbox_publish_is_whole CHECK (kind <> 'publish' OR (topic IS NOT NULL AND data IS NOT NULL)),
    -- An empty prefix would empty the bucket.
    CONSTRAINT outbox_delete_is_whole CHECK (
        kind <> 'delete_objects' OR (object_prefix <> '' AND object_prefix IS NOT NULL AND bucket IS DISTINCT FROM '')
    )
);
CREATE INDEX outbox_deletions_idx ON outbox (bucket, object_prefix) WHERE kind = 'delete_objects';
CREATE INDEX outbox_prefix_idx ON outbox (object_prefix) WHERE kind = 'delete_objects';
CREATE INDEX outbox_receipt_idx ON outbox (receipt_id) WHERE receipt_id IS NOT NULL;

-- Messages that the bus gave up on, kept whole for replay.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    message_id text NOT NULL,
    data bytea NOT NULL,
    attributes jsonb NOT NULL,
    delivery_attempts integer,
    error text NOT NULL,
    job_id uuid REFERENCES ml_jobs (id) ON DELETE SET NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);
-- With the content, since an emulator that was restarted counts its message ids from 1 again.
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (topic, message_id, md5(data));
CREATE INDEX dead_letters_job_idx ON dead_letters (job_id) WHERE job_id IS NOT NULL;

-- ================================================================ 0003_faces_and_persons
-- Detected faces, the persons that they are grouped into, and the tags that people made of them.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- A box or nothing: {x, y, w, h} within the upright image, normalised to [0, 1].
CREATE FUNCTION is_normalised_box(box jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp
    RETURN coalesce(
        jsonb_typeof(box -> 'x') = 'number' AND jsonb_typeof(box -> 'y') = 'number'
        AND jsonb_typeof(box -> 'w') = 'number' AND jsonb_typeof(box -> 'h') = 'number'
        AND (box ->> 'x')::float8 >= 0 AND (box ->> 'y')::float8 >= 0
        AND (box ->> 'w')::float8 > 0 AND (box ->> 'h')::float8 > 0
        -- Sums of rounded floats may pass 1 by their last bits.
        AND (box ->> 'x')::float8 + (box ->> 'w')::float8 <= 1.000001
        AND (box ->> 'y')::float8 + (box ->> 'h')::float8 <= 1.000001,
        false
    );

-- One person within one event.
CREATE TABLE face_persons (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    cluster_label integer,
    -- The cover: the face that stands for the person.
    representative_face_id uuid,
    cover_chosen_by_human boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'linked', 'invited', 'ignored', 'merged')),
    linked_user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    invitation_email text,
    merged_into_id uuid,
    -- Whose the person was until their account was deleted, for a purge that comes after it: SHA-256 of the person's id
    -- and the user's, so that nobody is named. Forgotten when the person is linked again.
    former_user_hash bytea,
    -- A human answered "one person" to the question whether it is two: never asked again.
    said_to_be_one boolean NOT NULL DEFAULT false,
    -- {face_count, avg_quality, manual_edits}
    metadata jsonb NOT NULL DEFAULT '{}',
    -- Counts the decisions on the person: two people who edit it at once find out.
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT face_persons_id_event_key UNIQUE (id, event_id),
    CONSTRAINT face_persons_merged_into_fkey FOREIGN KEY (merged_into_id, event_id)
        REFERENCES face_persons (id, event_id) ON DELETE CASCADE,
    CONSTRAINT face_persons_merged_names_its_survivor CHECK (
        (status = 'merged') = (merged_into_id IS NOT NULL) AND merged_into_id <> id
    ),
    CONSTRAINT face_persons_only_linked_has_a_user CHECK (linked_user_id IS NULL OR status IN ('linked', 'merged')),
    CONSTRAINT face_persons_only_invited_has_an_address CHECK (invitation_email IS NULL OR status = 'invited')
);
CREATE INDEX face_persons_event_idx ON face_persons (event_id, status);
CREATE INDEX face_persons_user_idx ON face_persons (linked_user_id) WHERE linked_user_id IS NOT NULL;
CREATE INDEX face_persons_merged_into_idx ON face_persons (merged_into_id) WHERE merged_into_id IS NOT NULL;

CREATE FUNCTION trombi_user_hash(person_id uuid, user_id uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp RETURN sha256(uuid_send(person_id) || uuid_send(user_id));

-- Whoever writes a person: the address is kept in its one form (an undo may put an older spelling back).
CREATE FUNCTION trombi_normalise_person() RETURNS trigger
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
BEGIN
    NEW.invitation_email := trombi_address(NEW.invitation_email);
    IF NEW.status = 'linked' THEN
        NEW.former_user_hash := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF invitation_email, status ON face_persons
    FOR EACH ROW EXECUTE FUNCTION trombi_normalise_person();

-- One detected face. There is no index on the embedding: searches stay within an event, whose faces are compared one by
-- one, exactly (docs/decisions/0003; make vector-index for searches of the whole table).
CREATE TABLE faces (
    id uuid PRIMARY KEY,
    media_id uuid NOT NULL,
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    -- Generation of the object in which the face was found.
    object_generation bigint NOT NULL,
    face_person_id uuid,
    -- A human said so: no run moves this face.
    placed_by_human boolean NOT NULL DEFAULT false,
    -- {x, y, w, h} within the upright photo, normalised to [0, 1].
    bbox jsonb NOT NULL CHECK (is_normalised_box(bbox)),
    -- Null once erased (archive, retention); shorter embeddings are zero-padded, which leaves cosines alone.
    embedding vector(512),
    embedding_model text NOT NULL,
    quality_score real NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    landmarks jsonb,
    sharpness real,
    -- Degrees.
    yaw real,
    pitch real,
    roll real,
    size_px integer NOT NULL CHECK (size_px > 0),
    thumbnail_object text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT faces_id_event_key UNIQUE (id, event_id),
    CONSTRAINT faces_media_fkey FOREIGN KEY (media_id, event_id) REFERENCES media (id, event_id) ON DELETE CASCADE,
    CONSTRAINT faces_person_fkey FOREIGN KEY (face_person_id, event_id) REFERENCES face_persons (id, event_id)
        ON DELETE SET NULL (face_person_id),
    -- Embeddings of different models are never compared: an event holds those of one model only. An event whose
    -- embeddings are erased may change its model pack; faces without an embedding follow its name.
    CONSTRAINT faces_one_model_per_event FOREIGN KEY (event_id, embedding_model)
        REFERENCES event_counters (event_id, embedding_model) ON UPDATE CASCADE
);
-- In the row, not beside it (TOAST): reading an event's embeddings takes a third of the time.
ALTER TABLE faces ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX faces_media_idx ON faces (media_id);
CREATE INDEX faces_event_idx ON faces (event_id);
-- A person's faces and photos are counted in the index alone.
CREATE INDEX faces_person_idx ON faces (face_person_id, event_id, media_id) WHERE face_person_id IS NOT NULL;
CREATE INDEX faces_thumbnail_idx ON faces (thumbnail_object) WHERE thumbnail_object IS NOT NULL;
-- What the retention looks for at each tick.
CREATE INDEX faces_retention_idx ON faces (created_at)
    WHERE embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL;
ALTER TABLE face_persons ADD CONSTRAINT face_persons_representative_fkey
    FOREIGN KEY (representative_face_id, event_id) REFERENCES faces (id, event_id)
    ON DELETE SET NULL (representative_face_id);

-- ---------------------------------------------------------------- the best face of a person

-- How well a face stands for its person, in [0, 1]: quality * frontality * sharpness * size. A product, so that a face
-- that fails in one respect is not saved by the others.
-- Quality is the detector's confidence. Frontality is cos(yaw) * cos(pitch), 0 from a right angle on; roll is undone by
-- alignment. Sharpness is s / (s + 100), which saturates: 100 is the variance of the Laplacian (of detect, on the
-- aligned crop) at which a face counts as half sharp; of 23 faces in group photos the median is 346, one is below 100
-- (27, plainly blurred), the sharpest is at 1001. Size is the shorter side of the box over 112, at most 1: a face needs
-- no more pixels than the embedding model's input has (ArcFace: 112 x 112). A measure that was not taken counts as 0.5:
-- such a face neither wins nor loses by it.
CREATE FUNCTION trombi_cover_score(quality real, sharpness real, yaw real, pitch real, size_px integer)
    RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN quality::float8
        * CASE WHEN yaw IS NULL THEN 0.5 WHEN abs(yaw) < 90 THEN cos(radians(yaw::float8)) ELSE 0 END
        * CASE WHEN pitch IS NULL THEN 0.5 WHEN abs(pitch) < 90 THEN cos(radians(pitch::float8)) ELSE 0 END
        * CASE WHEN sharpness IS NULL THEN 0.5 ELSE sharpness::float8 / (sharpness::float8 + 100) END
        * least(1, size_px / 112.0::float8);

-- A person's faces from the best to the worst: the cover, then the others by their score, the smallest id among equals.
-- A face whose picture was erased has nothing to show and comes last.
CREATE FUNCTION trombi_best_faces(of_person uuid) RETURNS TABLE (face_id uuid, thumbnail_object text)
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT faces.id, faces.thumbnail_object
    FROM faces JOIN face_persons AS person ON person.id = faces.face_person_id AND person.event_id = faces.event_id
    WHERE person.id = of_person
    ORDER BY faces.thumbnail_object IS NULL, (faces.id = person.representative_face_id) IS TRUE DESC,
        trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px) DESC, faces.id
$$;

-- The face that stands for a person; null for a person without faces.
CREATE FUNCTION trombi_best_cover(of_person uuid) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT face_id FROM trombi_best_faces(of_person) LIMIT 1
$$;

-- ---------------------------------------------------------------- a person as shown

-- What lists, a person's page, mails and the invitation page say of a person. Counts are counted, not read from the
-- person's metadata, which is what the last run or decision wrote. With the rights of who asks: row level security
-- decides whom they see.
CREATE VIEW persons_shown WITH (security_invoker = true) AS
SELECT person.id, person.event_id, person.status, person.version, person.representative_face_id AS cover_face_id,
    person.merged_into_id, person.created_at, person.invitation_email, person.linked_user_id,
    users.display_name AS linked_name, counted.face_count, counted.photo_count
FROM face_persons AS person
LEFT JOIN users ON users.id = person.linked_user_id
CROSS JOIN LATERAL (
    SELECT count(*) AS face_count, count(DISTINCT media_id) AS photo_count
    FROM faces WHERE faces.face_person_id = person.id AND faces.event_id = person.event_id
) AS counted;

-- ---------------------------------------------------------------- a cover that is gone

-- Whichever way a face goes (photo deleted, purge, a host that deletes rows), the person that it stood for has another
-- cover at once, though no clustering follows. The foreign key has set it null by then.
CREATE FUNCTION trombi_replace_covers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    WITH bereft AS (
        SELECT id FROM face_persons
        WHERE id IN (SELECT face_person_id FROM gone) AND representative_face_id IS NULL AND status <> 'merged'
        ORDER BY id FOR UPDATE
    ), covers AS MATERIALIZED (
        SELECT id, trombi_best_cover(id) AS face_id FROM bereft
    )
    UPDATE face_persons SET representative_face_id = covers.face_id, cover_chosen_by_human = false, updated_at = now()
    FROM covers WHERE face_persons.id = covers.id AND (covers.face_id IS NOT NULL OR cover_chosen_by_human);
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_replace_covers AFTER DELETE ON faces
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trombi_replace_covers();

-- ---------------------------------------------------------------- tags

-- Who is in a photo, because a human said so.
CREATE TABLE media_tags (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    media_id uuid NOT NULL REFERENCES media (id) ON DELETE CASCADE,
    tagged_user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tagged_by_user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    source text NOT NULL CHECK (source IN ('manual', 'face_clustering', 'imported', 'suggested')),
    bbox jsonb CHECK (bbox IS NULL OR is_normalised_box(bbox)),
    face_id uuid REFERENCES faces (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (media_id, tagged_user_id)
);
CREATE INDEX media_tags_user_idx ON media_tags (tagged_user_id);
CREATE INDEX media_tags_face_idx ON media_tags (face_id) WHERE face_id IS NOT NULL;

-- ---------------------------------------------------------------- questions for a human

-- "Is this face that person?" Never a tag.
CREATE TABLE face_suggestions (
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_id, face_person_id)
);
CREATE INDEX face_suggestions_person_idx ON face_suggestions (face_person_id);

-- "Are these two one person?" An ordered pair, so that it is asked once.
CREATE TABLE merge_suggestions (
    person_a_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    person_b_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_a_id, person_b_id),
    CHECK (person_a_id < person_b_id)
);
CREATE INDEX merge_suggestions_b_idx ON merge_suggestions (person_b_id);

-- "Are these faces of the person somebody else?" The smaller half.
CREATE TABLE split_suggestions (
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    -- 1 - the mean cosine between the halves, or between two faces that stand side by side; the same for all rows of a
    -- person.
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_person_id, face_id)
);
CREATE INDEX split_suggestions_face_idx ON split_suggestions (face_id);

-- ================================================================ 0004_decisions
-- What people decided and were asked, told exactly enough to take it back.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

CREATE TABLE decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    -- Its position in the event's history; two decisions of one event never share it.
    version bigint,
    actor_id uuid REFERENCES users (id) ON DELETE SET NULL,
    kind text NOT NULL CHECK (kind IN (
        'link', 'unlink', 'invite', 'accept', 'decline', 'merge', 'split', 'move', 'reject', 'distinct', 'one_person',
        'ignore', 'restore', 'cover', 'undo'
    )),
    subject jsonb NOT NULL,
    -- Null once a purge has erased it: such a decision stays in the history and cannot be undone.
    inverse jsonb,
    undone_by uuid REFERENCES decisions (id) ON DELETE SET NULL,
    -- What it touched: a later decision on any of these has to be undone first.
    person_ids uuid[] NOT NULL DEFAULT '{}',
    face_ids uuid[] NOT NULL DEFAULT '{}',
    user_ids uuid[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decisions_event_idx ON decisions (event_id, created_at DESC);
CREATE UNIQUE INDEX decisions_history ON decisions (event_id, version);
CREATE INDEX decisions_users_idx ON decisions USING gin (user_ids);

-- "This face is not that person": remembered by every later run.
CREATE TABLE face_rejections (
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_id, face_person_id)
);
CREATE INDEX face_rejections_person_idx ON face_rejections (face_person_id);

-- The other persons of a person's event, the most alike first: for an organiser, who may read no embedding, an order of
-- ids and nothing else. Asked are the best faces of those in the list (null: of all that the person has); each looks for
-- the nearest among the best faces of the other, and what they find is averaged: one odd face decides nothing, and who
-- was photographed over years is found by the faces that fit. A body that is resolved here, so that it finds the
-- operator wherever the extension is.
CREATE FUNCTION trombi_persons_alike(of_person uuid, face_list uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
BEGIN ATOMIC
    SELECT trombi_require_self_or_organiser((SELECT event_id FROM face_persons WHERE id = of_person), NULL);
    WITH asked AS MATERIALIZED (
        SELECT id, embedding FROM faces
        WHERE face_person_id = of_person AND embedding IS NOT NULL AND (face_list IS NULL OR id = ANY (face_list))
        ORDER BY quality_score DESC, id LIMIT 3
    ), placed AS (
        SELECT face_person_id, embedding,
            row_number() OVER (PARTITION BY face_person_id ORDER BY quality_score DESC, id) AS place
        FROM faces
        WHERE event_id = (SELECT event_id FROM face_persons WHERE id = of_person)
            AND face_person_id IS NOT NULL AND face_person_id <> of_person AND embedding IS NOT NULL
    ), nearest AS (
        SELECT placed.face_person_id, min(asked.embedding <=> placed.embedding) AS distance
        FROM placed CROSS JOIN asked WHERE placed.place <= 10
        GROUP BY placed.face_person_id, asked.id
    )
    SELECT face_person_id FROM nearest GROUP BY face_person_id ORDER BY avg(distance), face_person_id;
END;

-- ---------------------------------------------------------------- invitations

CREATE TABLE invitations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    -- SHA-256 of the 256-bit token: the token itself is only in the mail.
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    -- Null once erased, with the message: when the event is archived, and 30 days after the answer or the expiry.
    email text,
    message text,
    language text NOT NULL DEFAULT 'fr' CHECK (language ~ '^[a-z]{2}(-[A-Z]{2})?$'),
    invited_by uuid REFERENCES users (id) ON DELETE SET NULL,
    expires_at timestamptz NOT NULL,
    sent_at timestamptz,
    -- Why no mail reached the address, for the organiser to be told; null while there is hope.
    mail_problem text CHECK (mail_problem IN ('refused', 'not_configured', 'given_up')),
    answered_at timestamptz,
    answer text CHECK (answer IN ('accepted', 'declined')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((answered_at IS NULL) = (answer IS NULL)),
    CHECK (expires_at > created_at)
);
CREATE INDEX invitations_person_idx ON invitations (face_person_id);
CREATE INDEX invitations_event_idx ON invitations (event_id);
CREATE INDEX invitations_age ON invitations ((coalesce(answered_at, expires_at)))
    WHERE email IS NOT NULL OR message IS NOT NULL;

-- Whoever writes an invitation: the address is kept in its one form.
CREATE FUNCTION trombi_normalise_address() RETURNS trigger
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
BEGIN
    NEW.email := trombi_address(NEW.email);
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF email ON invitations
    FOR EACH ROW EXECUTE FUNCTION trombi_normalise_address();

-- 'open' as long as an answer counts: the person still waits for this address, nobody was asked anew, and the event
-- still consents. Else 'accepted', 'declined', 'withdrawn' or 'expired'; null where there is no such invitation.
CREATE FUNCTION invitation_state(invitation uuid) RETURNS text
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp
    AS $$
        SELECT CASE
            WHEN asked.answer IS NOT NULL THEN asked.answer
            WHEN person.status <> 'invited' OR lower(person.invitation_email) IS DISTINCT FROM lower(asked.email)
                OR NOT events.face_recognition_enabled OR events.archived_at IS NOT NULL
                OR EXISTS (
                    SELECT FROM invitations AS newer
                    WHERE newer.face_person_id = asked.face_person_id AND lower(newer.email) = lower(asked.email)
                        AND (newer.created_at, newer.id) > (asked.created_at, asked.id)
                ) THEN 'withdrawn'
            WHEN asked.expires_at <= now() THEN 'expired'
            ELSE 'open'
        END
        FROM invitations AS asked
        JOIN events ON events.id = asked.event_id
        JOIN face_persons AS person ON person.id = asked.face_person_id
        WHERE asked.id = invitation
    $$;

-- ---------------------------------------------------------------- repeated requests

-- An answer that was given is given again to the same request; kept for a day.
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    -- SHA-256 of method, path and body.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    event_id uuid,
    status integer,
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_event ON idempotency_keys (event_id) WHERE event_id IS NOT NULL;

-- ================================================================ 0005_privacy
-- What is erased and when, and the proof of it. The functions of this file are the one place that knows where personal
-- data is: a table that comes to hold some is added here.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- ---------------------------------------------------------------- what outlives the data

-- The consent log, kept apart from the biometrics, and longer. No foreign key: it outlives the event.
CREATE TABLE event_consents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    enabled boolean NOT NULL,
    text_version text,
    actor_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_consents_event ON event_consents (event_id, at DESC);

-- The audit of reads of biometrics, counted by day. No foreign key: it outlives what was read.
CREATE TABLE biometric_reads (
    day date NOT NULL DEFAULT current_date,
    -- A user's id, "service", or "invitation".
    actor text NOT NULL,
    event_id uuid NOT NULL,
    what text NOT NULL,
    subject_id uuid NOT NULL,
    reads bigint NOT NULL DEFAULT 1 CHECK (reads > 0),
    PRIMARY KEY (event_id, day, actor, what, subject_id)
);
CREATE INDEX biometric_reads_age ON biometric_reads (day);
CREATE INDEX biometric_reads_subject_idx ON biometric_reads (subject_id);

-- Proof that something was erased, without saying whose it was. No foreign key: it outlives the event.
CREATE TABLE purge_receipts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    reason text NOT NULL DEFAULT 'purge' CHECK (
        reason IN ('purge', 'archive', 'consent', 'retention', 'event_deleted', 'account_deleted')
    ),
    -- {faces, embeddings, persons, tags, invitations, thumbnails, decisions, suggestions, accounts}
    erased jsonb NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
CREATE INDEX purge_receipts_event_idx ON purge_receipts (event_id, requested_at DESC);
CREATE INDEX purge_receipts_open_idx ON purge_receipts (id) WHERE completed_at IS NULL;

-- Where a purged face was: a later detection does not bring it back. No biometric: checksum and hash are of the whole
-- photo, of which a face is a few bits. It outlives the photo's row: a host may delete that and upload the same picture
-- under the same id.
CREATE TABLE face_tombstones (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    media_id uuid NOT NULL,
    event_id uuid NOT NULL,
    bbox jsonb NOT NULL CHECK (is_normalised_box(bbox)),
    crc32c text,
    picture_hash bytea CHECK (octet_length(picture_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT face_tombstones_event_fkey FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE INDEX face_tombstones_media_idx ON face_tombstones (media_id);
CREATE INDEX face_tombstones_event_idx ON face_tombstones (event_id);

-- Whoever makes a tombstone: it is of the picture that the photo's faces were found in.
CREATE FUNCTION trombi_name_picture_of_tombstone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    IF NEW.crc32c IS NULL THEN
        SELECT faces_crc32c, faces_picture_hash INTO NEW.crc32c, NEW.picture_hash FROM media WHERE id = NEW.media_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_name_picture BEFORE INSERT ON face_tombstones
    FOR EACH ROW EXECUTE FUNCTION trombi_name_picture_of_tombstone();

-- A deleted photo stays deleted: messages of its uploads may still come. Ids and a number, nothing personal.
CREATE TABLE deleted_photos (
    media_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    -- Newest generation of its objects that was known, 0 for none.
    generation bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the tick ended its open jobs and asked for clustering.
    settled_at timestamptz
);
CREATE INDEX deleted_photos_unsettled_idx ON deleted_photos (deleted_at) WHERE settled_at IS NULL;
CREATE INDEX deleted_photos_age ON deleted_photos (deleted_at);

-- Whether an upload belongs to a photo whose row, or whose event, was deleted after it: by its generation, or, where that
-- was not known yet, by its time. Whoever uploads later makes a new photo.
CREATE FUNCTION trombi_was_deleted(
    of_media uuid, of_event uuid, upload_generation bigint, uploaded_at timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM deleted_photos
        WHERE media_id = of_media AND (generation >= upload_generation OR deleted_at >= uploaded_at)
    ) OR EXISTS (
        SELECT FROM purge_receipts
        WHERE event_id = of_event AND reason = 'event_deleted' AND requested_at >= uploaded_at
    )
$$;

-- ---------------------------------------------------------------- parts of erasing

-- The ids among the words of a JSON text, and whatever else stands between quotes, blanks and slashes.
CREATE FUNCTION trombi_words(content text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp
    AS $$ SELECT string_to_table(translate(lower(content), ' /.,', '""""'), '"') $$;

-- Whether a JSON text holds one of the addresses, in whatever spelling.
CREATE FUNCTION trombi_holds_address(content text, addresses text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = trombi, pg_temp AS $$
    SELECT cardinality(addresses) > 0 AND EXISTS (
        SELECT FROM regexp_matches(content, '[^[:space:]"\\<>(),;:]+[@＠﹫][^[:space:]"\\<>(),;:]+', 'g') AS found
        WHERE trombi_address(found[1]) = ANY(addresses)
    )
$$;

-- A receipt, and with it the deletion of the objects. It says how much was erased, never whose.
CREATE FUNCTION trombi_give_receipt(of_event uuid, why text, counts jsonb, prefixes text[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE receipt purge_receipts;
BEGIN
    INSERT INTO purge_receipts (event_id, reason, erased, requested_at, completed_at)
    VALUES (of_event, why, counts, clock_timestamp(), CASE WHEN cardinality(prefixes) = 0 THEN clock_timestamp() END)
    RETURNING * INTO receipt;
    INSERT INTO outbox (kind, object_prefix, receipt_id)
    SELECT 'delete_objects', prefix, receipt.id FROM unnest(prefixes) AS prefix;
    RETURN to_jsonb(receipt);
END
$$;

-- The second of two receipts goes into the first: the counts of both, and the objects of both to be erased.
CREATE FUNCTION trombi_join_receipts(kept jsonb, joined jsonb) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE receipt purge_receipts;
BEGIN
    UPDATE outbox SET receipt_id = (kept ->> 'id')::uuid WHERE receipt_id = (joined ->> 'id')::uuid;
    DELETE FROM purge_receipts WHERE id = (joined ->> 'id')::uuid;
    UPDATE purge_receipts SET
        erased = (
            SELECT jsonb_object_agg(key, value::integer + coalesce((joined -> 'erased' ->> key)::integer, 0))
            FROM jsonb_each_text(purge_receipts.erased)
        ),
        completed_at = CASE WHEN joined ->> 'completed_at' IS NOT NULL THEN completed_at END
    WHERE id = (kept ->> 'id')::uuid RETURNING * INTO receipt;
    RETURN to_jsonb(receipt);
END
$$;

-- Nothing is said of whether there is such an event: a stranger's request and one that finds nothing look the same.
CREATE FUNCTION trombi_empty_receipt(of_event uuid) RETURNS jsonb
    LANGUAGE sql VOLATILE SET search_path = trombi, pg_temp AS $$
    SELECT jsonb_build_object('id', gen_random_uuid(), 'event_id', of_event, 'reason', 'purge',
        'erased', '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
            ' "decisions": 0, "suggestions": 0, "accounts": 0}'::jsonb,
        'requested_at', clock_timestamp(), 'completed_at', clock_timestamp())
$$;

-- Decisions that touched what is erased keep their place, kind and time in the history. Which persons, faces, users
-- and addresses they were about is gone, and with it the way to undo them.
CREATE FUNCTION trombi_forget_in_decisions(of_event uuid, ids uuid[], of_user uuid, addresses text[]) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    touched uuid[];
    forgotten integer;
BEGIN
    -- By the columns, and by what the images of rows hold: a row of the user, or any of the ids.
    touched := ARRAY(
        SELECT id FROM decisions
        WHERE event_id = of_event AND (
            person_ids && ids OR face_ids && ids OR of_user = ANY(user_ids)
            OR trombi_holds_address(subject::text || coalesce(inverse::text, ''), addresses)
            -- Not tagged_by_user_id: what an organiser decided on others stays theirs to undo.
            OR (subject::text || coalesce(inverse::text, ''))
                ~ ('"(linked_|tagged_)?user_id": "' || of_user::text || '"')
        )
        UNION
        SELECT id FROM decisions, trombi_words(subject::text || ' ' || coalesce(inverse::text, '')) AS word
        WHERE event_id = of_event AND word IN (SELECT unnest(ids)::text)
    );
    UPDATE decisions SET
        subject = jsonb_build_object(
            'erased', true, 'persons', cardinality(person_ids), 'faces', cardinality(face_ids)),
        inverse = NULL,
        actor_id = CASE WHEN actor_id IS DISTINCT FROM of_user THEN actor_id END,
        -- The others' ids stay: what was decided on them before cannot be undone past this.
        person_ids = ARRAY(SELECT id FROM unnest(person_ids) AS id WHERE id <> ALL(ids)),
        face_ids = ARRAY(SELECT id FROM unnest(face_ids) AS id WHERE id <> ALL(ids)),
        user_ids = ARRAY(SELECT id FROM unnest(user_ids) AS id WHERE id IS DISTINCT FROM of_user)
    WHERE id = ANY(touched);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- That somebody read biometrics that day stays; of whom does not.
CREATE FUNCTION trombi_forget_in_reads(of_event uuid, ids uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
BEGIN
    -- In the order in which trombi_note_reads takes them.
    PERFORM 1 FROM biometric_reads WHERE event_id = of_event AND subject_id = ANY(ids) ORDER BY subject_id FOR UPDATE;
    WITH gone AS (
        DELETE FROM biometric_reads WHERE event_id = of_event AND subject_id = ANY(ids) RETURNING *
    )
    INSERT INTO biometric_reads (day, actor, event_id, what, subject_id, reads)
    SELECT day, actor, event_id, what, '00000000-0000-0000-0000-000000000000', sum(reads) FROM gone
    GROUP BY day, actor, event_id, what
    ON CONFLICT (event_id, day, actor, what, subject_id) DO UPDATE SET reads = biometric_reads.reads + excluded.reads;
END
$$;

-- What is biometric of faces goes: embedding, landmarks, pose, sharpness, thumbnail, and questions that were asked
-- by them. Box, person and size stay: by them nobody can be recognised.
CREATE FUNCTION trombi_strip_faces(of_event uuid, face_list uuid[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE stripped integer; suggested integer; with_embedding integer; with_thumbnail integer;
BEGIN
    SELECT count(embedding), count(thumbnail_object) INTO with_embedding, with_thumbnail
    FROM faces WHERE event_id = of_event AND id = ANY(face_list);
    UPDATE faces SET embedding = NULL, landmarks = NULL, sharpness = NULL, yaw = NULL, pitch = NULL, roll = NULL,
        thumbnail_object = NULL, updated_at = now()
    WHERE event_id = of_event AND id = ANY(face_list);
    GET DIAGNOSTICS stripped = ROW_COUNT;
    DELETE FROM face_suggestions WHERE face_id = ANY(face_list);
    GET DIAGNOSTICS suggested = ROW_COUNT;
    RETURN jsonb_build_object('faces', stripped, 'embeddings', with_embedding, 'thumbnails', with_thumbnail,
        'suggestions', suggested);
END
$$;

-- ---------------------------------------------------------------- the order of locks (ARCHITECTURE.md)

-- Before an event's counters are locked: the rows above them in the order, which foreign keys would lock after them.
-- The users (given, and linked to the persons), the event, the photos of the persons and faces. Each in the order of
-- its ids, and no more than a foreign key does: two who only refer to a row do not wait for each other.
CREATE FUNCTION trombi_hold_rows(of_event uuid, user_list uuid[], person_list uuid[], face_list uuid[])
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    all_persons uuid[] := person_list || ARRAY(
        SELECT face_person_id FROM faces WHERE id = ANY(face_list) AND face_person_id IS NOT NULL);
    all_users uuid[] := user_list || ARRAY(
        SELECT linked_user_id FROM face_persons WHERE id = ANY(all_persons) AND linked_user_id IS NOT NULL);
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, user_list[1]);
    PERFORM 1 FROM users WHERE id = ANY(all_users) ORDER BY id FOR KEY SHARE;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM media WHERE id IN (
        SELECT media_id FROM faces
        WHERE event_id = of_event AND (face_person_id = ANY(all_persons) OR id = ANY(face_list))
    ) ORDER BY id FOR KEY SHARE;
END
$$;

-- ---------------------------------------------------------------- purge

-- The persons of somebody: linked to the account (also to one that was deleted, as long as the person is nobody
-- else's), invited by the address, or named; with all that was merged into them.
CREATE FUNCTION trombi_persons_of(of_event uuid, of_user uuid, of_person uuid, addresses text[])
    RETURNS uuid[] LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    WITH RECURSIVE theirs AS (
        SELECT id FROM face_persons
        WHERE event_id = of_event AND status <> 'merged' AND (
            linked_user_id = of_user OR invitation_email = ANY(addresses) OR id = of_person
            OR (status <> 'linked' AND (
                former_user_hash = trombi_user_hash(id, of_user) OR EXISTS (
                    SELECT FROM face_persons AS gone
                    WHERE gone.merged_into_id = face_persons.id
                        AND gone.former_user_hash = trombi_user_hash(gone.id, of_user)
                )
            ))
        )
        UNION
        SELECT face_persons.id FROM face_persons JOIN theirs ON face_persons.merged_into_id = theirs.id
    )
    SELECT coalesce(array_agg(id), '{}') FROM theirs
$$;

-- Their faces: those of their persons, and those that a tag says are theirs, unless the face is held by another.
CREATE FUNCTION trombi_faces_of(of_event uuid, of_user uuid, person_list uuid[]) RETURNS uuid[]
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT coalesce(array_agg(id), '{}') FROM (
        SELECT id FROM faces WHERE event_id = of_event AND face_person_id = ANY(person_list)
        UNION
        SELECT faces.id FROM media_tags JOIN faces ON faces.id = media_tags.face_id
            LEFT JOIN face_persons ON face_persons.id = faces.face_person_id
        WHERE faces.event_id = of_event AND media_tags.tagged_user_id = of_user
            AND (face_persons.id IS NULL OR face_persons.status IN ('pending', 'ignored'))
    ) AS theirs
$$;

-- The rows above the counters in the order of locks, for a purge: an account that Trombi made may be deleted in the end.
-- False where there is no such event (any more).
CREATE FUNCTION trombi_hold_for_erasure(of_event uuid, of_user uuid, of_person uuid, addresses text[])
    RETURNS boolean LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    person_list uuid[] := trombi_persons_of(of_event, of_user, of_person, addresses);
    face_list uuid[] := ARRAY(
        SELECT face_id FROM media_tags JOIN media ON media.id = media_id
        WHERE media.event_id = of_event AND tagged_user_id = of_user AND face_id IS NOT NULL);
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        PERFORM 1 FROM users WHERE id = of_user AND made_by_invitation FOR UPDATE;
    END IF;
    PERFORM trombi_hold_rows(of_event, ARRAY[of_user], person_list, face_list);
    RETURN EXISTS (SELECT FROM events WHERE id = of_event);
END
$$;

-- The rows above the counters in the order of locks, for a purge of several accounts. False where there is no such
-- event (any more).
CREATE FUNCTION trombi_hold_for_erasure_of(of_event uuid, user_list uuid[], addresses text[])
    RETURNS boolean LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    person_list uuid[] := trombi_persons_of(of_event, NULL, NULL, addresses) || ARRAY(
        SELECT unnest(trombi_persons_of(of_event, of_user, NULL, addresses)) FROM unnest(user_list) AS of_user);
    face_list uuid[] := ARRAY(
        SELECT face_id FROM media_tags JOIN media ON media.id = media_id
        WHERE media.event_id = of_event AND tagged_user_id = ANY(user_list) AND face_id IS NOT NULL);
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        PERFORM 1 FROM users WHERE id = ANY(user_list) AND made_by_invitation ORDER BY id FOR UPDATE;
    END IF;
    PERFORM trombi_hold_rows(of_event, NULL::uuid || user_list, person_list, face_list);
    RETURN EXISTS (SELECT FROM events WHERE id = of_event);
END
$$;

-- An account that was made for a guest by an invitation leaves the event, and goes if that was the last one.
CREATE FUNCTION trombi_forget_guest(of_event uuid, of_user uuid) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE forgotten integer := 0;
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        DELETE FROM event_members USING users
        WHERE users.id = of_user AND users.made_by_invitation
            AND event_members.user_id = of_user AND event_members.event_id = of_event AND role = 'member';
        DELETE FROM users WHERE id = of_user AND made_by_invitation
            AND NOT EXISTS (SELECT FROM event_members WHERE user_id = of_user)
            AND NOT EXISTS (SELECT FROM face_persons WHERE linked_user_id = of_user)
            AND NOT EXISTS (SELECT FROM media_tags WHERE tagged_user_id = of_user);
        GET DIAGNOSTICS forgotten = ROW_COUNT;
    END IF;
    RETURN forgotten;
END
$$;

-- Everything of one person in one event, whoever they are known as. Locks like a decision (the event's counters
-- first), so that no detection, clustering or decision is written meanwhile.
CREATE FUNCTION trombi_erase(of_event uuid, of_user uuid, of_person uuid, addresses text[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    counts jsonb := '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
        ' "decisions": 0, "suggestions": 0, "accounts": 0}';
    person_list uuid[];
    face_list uuid[];
    invitation_list uuid[];
    ids uuid[];
    prefixes text[];
    bereft uuid[];
    photos integer;
    n integer;
    m integer;
BEGIN
    INSERT INTO event_counters (event_id) VALUES (of_event) ON CONFLICT DO NOTHING;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;

    person_list := trombi_persons_of(of_event, of_user, of_person, addresses);
    face_list := trombi_faces_of(of_event, of_user, person_list);
    invitation_list := ARRAY(
        SELECT id FROM invitations
        WHERE event_id = of_event AND (face_person_id = ANY(person_list) OR lower(email) = ANY(addresses))
    );
    ids := person_list || face_list || invitation_list;
    prefixes := ARRAY(
        SELECT thumbnail_object FROM faces WHERE id = ANY(face_list) AND thumbnail_object IS NOT NULL ORDER BY 1
    );
    bereft := ARRAY(
        SELECT DISTINCT face_person_id FROM faces
        WHERE id = ANY(face_list) AND face_person_id <> ALL(person_list)
    );
    SELECT count(*), count(embedding), count(DISTINCT media_id) INTO n, m, photos FROM faces WHERE id = ANY(face_list);
    counts := counts || jsonb_build_object('faces', n, 'embeddings', m, 'thumbnails', cardinality(prefixes),
        'persons', cardinality(person_list), 'invitations', cardinality(invitation_list));

    -- So that no later detection brings them back. A place in a photo is no biometric.
    INSERT INTO face_tombstones (media_id, event_id, bbox)
    SELECT media_id, event_id, bbox FROM faces WHERE id = ANY(face_list);

    -- Every tag of the user in the event, whoever made it: being found in its photos is what they no longer want.
    DELETE FROM media_tags USING media
    WHERE media.id = media_tags.media_id AND media.event_id = of_event AND (
        tagged_user_id = of_user OR (face_id = ANY(face_list) AND source IN ('face_clustering', 'suggested'))
    );
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('tags', n);

    DELETE FROM face_suggestions WHERE face_id = ANY(face_list) OR face_person_id = ANY(person_list);
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM merge_suggestions WHERE person_a_id = ANY(person_list) OR person_b_id = ANY(person_list);
    GET DIAGNOSTICS m = ROW_COUNT;
    counts := counts || jsonb_build_object('suggestions', n + m);

    n := trombi_forget_in_decisions(of_event, ids, of_user, addresses);
    counts := counts || jsonb_build_object('decisions', n);
    PERFORM trombi_forget_in_reads(of_event, ids || of_user);
    DELETE FROM idempotency_keys
    WHERE (event_id = of_event OR event_id IS NULL) AND answer IS NOT NULL AND (
        trombi_holds_address(answer::text, addresses)
        OR EXISTS (SELECT FROM trombi_words(answer::text) AS word WHERE word IN (SELECT unnest(ids || of_user)::text))
    );

    DELETE FROM invitations WHERE id = ANY(invitation_list);
    DELETE FROM face_persons WHERE id = ANY(person_list);
    UPDATE face_persons SET linked_user_id = NULL WHERE event_id = of_event AND linked_user_id = of_user;
    DELETE FROM faces WHERE id = ANY(face_list);
    counts := counts || jsonb_build_object('accounts', trombi_forget_guest(of_event, of_user));

    -- The others' counts are right at once; clustering does the rest.
    UPDATE face_persons SET version = version + 1, updated_at = now(),
        metadata = metadata || jsonb_build_object('face_count', (
            SELECT count(*) FROM faces WHERE face_person_id = face_persons.id))
    WHERE id = ANY(bereft);
    IF counts <> '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
        ' "decisions": 0, "suggestions": 0, "accounts": 0}' THEN
        UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    END IF;
    IF photos > 0 THEN
        UPDATE event_counters SET changed_photos = changed_photos + photos,
            first_change_at = coalesce(first_change_at, clock_timestamp())
        WHERE event_id = of_event
            AND EXISTS (SELECT FROM events WHERE id = of_event AND face_recognition_enabled AND archived_at IS NULL);
    END IF;
    RETURN trombi_give_receipt(of_event, 'purge', counts, prefixes);
END
$$;

-- Erase all that the event holds on a user; answers the receipt. Doing it twice gives an empty one.
CREATE FUNCTION purge_face_data_for_user(purged_user uuid, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    addresses text[];
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, purged_user);
    addresses := ARRAY(SELECT trombi_address(email) FROM users WHERE id = purged_user AND email <> '');
    IF NOT trombi_hold_for_erasure(of_event, purged_user, NULL, addresses) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    RETURN trombi_erase(of_event, purged_user, NULL, addresses);
END
$$;

-- The same for a person of an event, who may have no account. A person who is linked to one is that user.
CREATE FUNCTION purge_face_data_for_person(purged_person uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    survivor face_persons;
    addresses text[];
BEGIN
    WITH RECURSIVE upwards AS (
        SELECT * FROM face_persons WHERE id = purged_person
        UNION
        SELECT face_persons.* FROM face_persons JOIN upwards ON face_persons.id = upwards.merged_into_id
    )
    SELECT * INTO survivor FROM upwards WHERE status <> 'merged';
    IF survivor.id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM trombi_require_self_or_organiser(survivor.event_id, survivor.linked_user_id);
    addresses := ARRAY(
        SELECT address FROM (
            SELECT survivor.invitation_email AS address
            UNION
            SELECT trombi_address(email) FROM users WHERE id = survivor.linked_user_id
        ) AS known WHERE address <> ''
    );
    IF NOT trombi_hold_for_erasure(survivor.event_id, survivor.linked_user_id, survivor.id, addresses) THEN
        RETURN NULL;
    END IF;
    RETURN trombi_erase(survivor.event_id, survivor.linked_user_id, survivor.id, addresses);
END
$$;

-- The same for an address that somebody was invited by. Where it is an account's, that user is meant.
CREATE FUNCTION purge_face_data_for_address(purged_address text, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    address text := trombi_address(purged_address);
    accounts uuid[] := ARRAY(SELECT id FROM users WHERE trombi_address(email) = address ORDER BY id);
    account uuid;
    receipt jsonb;
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    IF address = '' OR NOT trombi_hold_for_erasure_of(of_event, accounts, ARRAY[address]) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    receipt := trombi_erase(of_event, accounts[1], NULL, ARRAY[address]);
    FOREACH account IN ARRAY accounts[2:] LOOP
        receipt := trombi_join_receipts(receipt, trombi_erase(of_event, account, NULL, ARRAY[address]));
    END LOOP;
    RETURN receipt;
END
$$;

-- ---------------------------------------------------------------- an account is deleted

-- Merges, splits, moves, rejections and covers of a deleted account's person can still be undone: the undo puts the
-- faces back and links nobody.

-- Leave a user out of the decisions that can be undone without them: images of rows lose the link, rows of the user's own
-- (tags, membership, invitations) are no longer put back. Whose a person was before is kept as a hash, as on the person.
-- Answers how many decisions it changed.
CREATE FUNCTION trombi_leave_out_of_decisions(
    of_event uuid, of_user uuid, invitation_list uuid[], addresses text[]
) RETURNS integer LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    changed integer;
BEGIN
    UPDATE decisions AS decision SET
        user_ids = array_remove(user_ids, of_user),
        inverse = inverse || jsonb_build_object('changes', coalesce((
            SELECT jsonb_agg(
                CASE WHEN change ->> 'table' = 'face_persons' THEN change || jsonb_build_object(
                    'before', CASE WHEN change -> 'before' <> 'null' THEN
                        trombi_unlinked_image(decision, change -> 'before', of_user, addresses) || CASE
                            WHEN change #>> '{before,linked_user_id}' = of_user::text THEN jsonb_build_object(
                                'former_user_hash', trombi_user_hash((change ->> 'key')::uuid, of_user))
                            WHEN change #>> '{after,linked_user_id}' = of_user::text THEN '{"former_user_hash": null}'
                            ELSE '{}' END
                        END,
                    'after', trombi_unlinked_image(decision, change -> 'after', of_user, addresses))
                ELSE change END
                ORDER BY number)
            FROM jsonb_array_elements(inverse -> 'changes') WITH ORDINALITY AS listed (change, number)
            WHERE NOT coalesce(of_user::text IN (
                    coalesce(change #>> '{before,tagged_user_id}', change #>> '{after,tagged_user_id}'),
                    coalesce(change #>> '{before,user_id}', change #>> '{after,user_id}')), false)
                AND NOT (change ->> 'table' = 'invitations' AND change ->> 'key' = ANY(invitation_list::text[]))
        ), '[]'))
    WHERE event_id = of_event AND inverse IS NOT NULL
        AND kind NOT IN ('link', 'unlink', 'invite', 'accept', 'decline', 'undo')
        AND (of_user = ANY(user_ids) OR inverse::text ~ ('"(linked_|tagged_)?user_id": "' || of_user::text || '"'));
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- The image of a person without the link to a user, and without what the link counted as said of the person.
CREATE FUNCTION trombi_unlinked_image(decision decisions, image jsonb, of_user uuid, addresses text[])
    RETURNS jsonb LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT CASE
        WHEN image ->> 'linked_user_id' = of_user::text THEN
            image || '{"linked_user_id": null, "invitation_email": null, "status": "pending"}'
                || CASE WHEN image -> 'metadata' ? 'manual_edits' THEN jsonb_build_object('metadata',
                    image -> 'metadata' || jsonb_build_object('manual_edits', greatest(0,
                        (image #>> '{metadata,manual_edits}')::integer - (
                            SELECT count(*) FROM decisions AS earlier
                            WHERE earlier.event_id = decision.event_id AND earlier.version < decision.version
                                AND earlier.kind IN ('link', 'invite', 'accept') AND earlier.undone_by IS NULL
                                AND (image ->> 'id')::uuid = ANY(earlier.person_ids)
                        )))) ELSE '{}' END
        WHEN image ->> 'invitation_email' = ANY(addresses) THEN
            image || '{"invitation_email": null, "status": "pending"}'
        ELSE image
    END
$$;

-- What an event holds on a user whose account is going. Their persons are nobody's again, as before the link: undecided,
-- to be clustered again. Tags go, also those made by hand; so does the invitation that they answered with "it's me".
-- Decisions that said who the person is are erased, the others lose the user, so that no undo brings the user back. An invitation to their address that is open
-- or was declined is about the address, not the account, and stays.
CREATE FUNCTION trombi_forget_account(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    person_list uuid[];
    invitation_list uuid[];
    addresses text[];
    n integer;
    kept integer;
    counts jsonb;
BEGIN
    person_list := ARRAY(
        SELECT id FROM face_persons
        WHERE event_id = of_event AND linked_user_id = of_user AND status = 'linked' ORDER BY id FOR NO KEY UPDATE);
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL), '{}')
    INTO invitation_list, addresses
    FROM invitations WHERE face_person_id = ANY(person_list) AND answer = 'accepted';
    addresses := ARRAY(SELECT address FROM unnest(addresses) AS address WHERE NOT EXISTS (
        SELECT FROM face_persons WHERE event_id = of_event AND invitation_email = address));

    UPDATE face_persons SET status = 'pending', linked_user_id = NULL, version = version + 1, updated_at = now(),
        former_user_hash = trombi_user_hash(id, of_user),
        -- The link no longer counts as something that people said of the person.
        metadata = CASE WHEN metadata ? 'manual_edits' THEN metadata || jsonb_build_object('manual_edits', greatest(0,
            (metadata ->> 'manual_edits')::integer - (
                SELECT count(*) FROM decisions
                WHERE event_id = of_event AND kind IN ('link', 'invite', 'accept') AND undone_by IS NULL
                    AND face_persons.id = ANY(person_ids)
            ))) ELSE metadata END
    WHERE id = ANY(person_list);
    UPDATE face_persons SET linked_user_id = NULL WHERE event_id = of_event AND linked_user_id = of_user;

    DELETE FROM media_tags USING media
    WHERE media.id = media_tags.media_id AND media.event_id = of_event AND tagged_user_id = of_user;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := jsonb_build_object('tags', n);
    -- Faces are suggested for somebody; clustering asks anew.
    DELETE FROM face_suggestions WHERE face_person_id = ANY(person_list);
    GET DIAGNOSTICS n = ROW_COUNT;
    kept := trombi_leave_out_of_decisions(of_event, of_user, invitation_list, addresses);
    counts := counts || jsonb_build_object('suggestions', n, 'invitations', cardinality(invitation_list),
        'decisions', kept + trombi_forget_in_decisions(of_event, invitation_list, of_user, addresses));
    PERFORM trombi_forget_in_reads(of_event, invitation_list || of_user);
    DELETE FROM idempotency_keys
    WHERE event_id = of_event AND answer IS NOT NULL AND (
        trombi_holds_address(answer::text, addresses)
        OR EXISTS (SELECT FROM trombi_words(answer::text) AS word
            WHERE word IN (SELECT unnest(invitation_list || of_user)::text)));
    DELETE FROM invitations WHERE id = ANY(invitation_list);

    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    IF cardinality(person_list) > 0 THEN
        UPDATE event_counters SET changed_photos = changed_photos + 1,
            first_change_at = coalesce(first_change_at, clock_timestamp())
        WHERE event_id = of_event
            AND EXISTS (SELECT FROM events WHERE id = of_event AND face_recognition_enabled AND archived_at IS NULL);
    END IF;
    IF EXISTS (SELECT FROM jsonb_each_text(counts) WHERE value <> '0') THEN
        PERFORM trombi_give_receipt(of_event, 'account_deleted', counts, '{}');
    END IF;
END
$$;

-- After the rows of all accounts of the statement are locked, and before the foreign keys ("RI_...") set anything to
-- null; also where the host app's account goes by a cascade of its own.
CREATE FUNCTION trombi_forget_deleted_account() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    event_list uuid[] := ARRAY(
        SELECT event_id FROM face_persons WHERE linked_user_id = OLD.id
        UNION SELECT event_id FROM decisions WHERE user_ids @> ARRAY[OLD.id]
        UNION SELECT media.event_id FROM media_tags JOIN media ON media.id = media_id WHERE tagged_user_id = OLD.id
        UNION SELECT event_id FROM biometric_reads WHERE subject_id = OLD.id);
    of_event uuid;
BEGIN
    event_list := ARRAY(SELECT id FROM events WHERE id = ANY(event_list) ORDER BY id FOR KEY SHARE);
    PERFORM 1 FROM event_counters WHERE event_id = ANY(event_list) ORDER BY event_id FOR NO KEY UPDATE;
    FOREACH of_event IN ARRAY event_list LOOP
        PERFORM trombi_forget_account(of_event, OLD.id);
    END LOOP;
    DELETE FROM idempotency_keys WHERE caller = OLD.id::text AND answer IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER "Before_RI_trombi_forget_account" AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION trombi_forget_deleted_account();

-- ---------------------------------------------------------------- an event is archived, loses its consent, or is deleted

-- Everything biometric of the event goes when it is archived and when consent is withdrawn, whoever does it. Boxes,
-- persons and confirmed tags stay, as counts and as what people said. Open invitations are withdrawn.
CREATE FUNCTION cleanup_face_embeddings_on_event_archive() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    counts jsonb;
    addresses text[];
    withdrawn uuid[];
    n integer;
BEGIN
    -- The event's row is locked already: whoever writes faces or persons holds it FOR SHARE until the commit.
    PERFORM 1 FROM event_counters WHERE event_id = NEW.id FOR NO KEY UPDATE;
    counts := trombi_strip_faces(NEW.id, ARRAY(
        SELECT id FROM faces WHERE event_id = NEW.id
            AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL
                OR sharpness IS NOT NULL OR yaw IS NOT NULL)
    ));
    DELETE FROM face_suggestions USING face_persons
    WHERE face_persons.id = face_suggestions.face_person_id AND face_persons.event_id = NEW.id;
    DELETE FROM merge_suggestions USING face_persons
    WHERE face_persons.id = merge_suggestions.person_a_id AND face_persons.event_id = NEW.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('suggestions', (counts ->> 'suggestions')::integer + n);

    addresses := ARRAY(
        SELECT lower(email) FROM invitations WHERE event_id = NEW.id AND email IS NOT NULL
        UNION SELECT lower(invitation_email) FROM face_persons WHERE event_id = NEW.id AND invitation_email IS NOT NULL
    );
    withdrawn := ARRAY(SELECT id FROM invitations WHERE event_id = NEW.id AND answered_at IS NULL);
    DELETE FROM invitations WHERE id = ANY(withdrawn);
    UPDATE invitations SET email = NULL, message = NULL WHERE event_id = NEW.id;
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = NEW.id AND status = 'invited';
    counts := counts || jsonb_build_object('invitations', cardinality(withdrawn), 'decisions',
        trombi_forget_in_decisions(NEW.id, withdrawn, NULL, addresses));
    DELETE FROM idempotency_keys WHERE event_id = NEW.id AND answer IS NOT NULL;

    -- Nothing is to be clustered any more.
    UPDATE event_counters SET changed_photos = 0, first_change_at = NULL, decision_version = decision_version + 1
    WHERE event_id = NEW.id;
    PERFORM trombi_give_receipt(
        NEW.id, CASE WHEN NEW.archived_at IS NOT NULL AND OLD.archived_at IS NULL THEN 'archive' ELSE 'consent' END,
        counts,
        -- By prefix: also what a run that died left behind.
        ARRAY['events/' || NEW.id || '/']
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_erase_biometrics AFTER UPDATE OF archived_at, face_recognition_enabled ON events
    FOR EACH ROW WHEN (
        (OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL)
        OR (OLD.face_recognition_enabled AND NOT NEW.face_recognition_enabled)
    ) EXECUTE FUNCTION cleanup_face_embeddings_on_event_archive();

-- Questions that were asked by an embedding go with it: archive, consent, retention.
CREATE FUNCTION trombi_forget_split_suggestions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    DELETE FROM split_suggestions WHERE face_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_forget_split_suggestions AFTER UPDATE OF embedding ON faces
    FOR EACH ROW WHEN (OLD.embedding IS NOT NULL AND NEW.embedding IS NULL)
    EXECUTE FUNCTION trombi_forget_split_suggestions();

-- The consent log, complete also where the host app writes the event's row itself.
CREATE FUNCTION trombi_log_consent() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    INSERT INTO event_consents (event_id, enabled, text_version, actor_id)
    VALUES (NEW.id, NEW.face_recognition_enabled, NEW.consent_text_version, trombi_user_id());
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_log_first_consent AFTER INSERT ON events
    FOR EACH ROW WHEN (NEW.face_recognition_enabled) EXECUTE FUNCTION trombi_log_consent();
CREATE TRIGGER trombi_log_consent AFTER UPDATE OF face_recognition_enabled, consent_text_version ON events
    FOR EACH ROW WHEN (
        OLD.face_recognition_enabled IS DISTINCT FROM NEW.face_recognition_enabled
        OR (NEW.face_recognition_enabled AND OLD.consent_text_version IS DISTINCT FROM NEW.consent_text_version)
    ) EXECUTE FUNCTION trombi_log_consent();

-- What foreign keys do not reach when an event is deleted.
CREATE FUNCTION trombi_erase_deleted_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE counts jsonb;
BEGIN
    SELECT jsonb_build_object('faces', count(*), 'embeddings', count(embedding), 'thumbnails', count(thumbnail_object))
    INTO counts FROM faces WHERE event_id = OLD.id;
    counts := counts || jsonb_build_object(
        'persons', (SELECT count(*) FROM face_persons WHERE event_id = OLD.id),
        'invitations', (SELECT count(*) FROM invitations WHERE event_id = OLD.id),
        'decisions', (SELECT count(*) FROM decisions WHERE event_id = OLD.id));
    PERFORM trombi_forget_in_reads(
        OLD.id, ARRAY(SELECT DISTINCT subject_id FROM biometric_reads WHERE event_id = OLD.id));
    DELETE FROM idempotency_keys WHERE event_id = OLD.id;
    DELETE FROM dead_letters USING ml_jobs WHERE ml_jobs.id = dead_letters.job_id AND ml_jobs.event_id = OLD.id;
    PERFORM trombi_give_receipt(OLD.id, 'event_deleted', counts, ARRAY['events/' || OLD.id || '/']);
    RETURN OLD;
END
$$;
CREATE TRIGGER trombi_erase_event BEFORE DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION trombi_erase_deleted_event();

-- The switches of the API; true when something changed. Consent needs the version of the text that was shown.
CREATE FUNCTION trombi_set_consent(of_event uuid, enabled boolean, text_version text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    UPDATE events SET face_recognition_enabled = enabled,
        consent_text_version = CASE WHEN enabled THEN text_version ELSE consent_text_version END,
        consented_at = CASE WHEN enabled THEN now() ELSE consented_at END
    WHERE id = of_event AND (
        face_recognition_enabled IS DISTINCT FROM enabled
        OR (enabled AND consent_text_version IS DISTINCT FROM text_version)
    );
    RETURN FOUND;
END
$$;
CREATE FUNCTION trombi_archive(of_event uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    UPDATE events SET archived_at = now() WHERE id = of_event AND archived_at IS NULL;
    RETURN FOUND;
END
$$;

-- ---------------------------------------------------------------- photos and faces are deleted
-- Rows that name objects may vanish before the objects do, and without any function: the host app deletes a photo's row or
-- an event by SQL, and foreign keys take faces along. Triggers write down what is left to do.

-- A deleted photo takes its faces along, which whoever holds the counters may be writing. Named to come before the
-- triggers of the foreign keys ("RI_..."), after the rows of all photos of the statement are locked.
CREATE FUNCTION trombi_lock_counters_of_deleted_photo() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    PERFORM 1 FROM event_counters WHERE event_id = OLD.event_id FOR NO KEY UPDATE;
    RETURN NULL;
END
$$;
CREATE TRIGGER "Before_RI_trombi_lock_counters" AFTER DELETE ON media
    FOR EACH ROW EXECUTE FUNCTION trombi_lock_counters_of_deleted_photo();

CREATE FUNCTION trombi_note_deleted_photos() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    -- A deleted event has a receipt, which says as much of all its photos and deletes their thumbnails by one prefix.
    INSERT INTO deleted_photos (media_id, event_id, generation)
    SELECT id, event_id, greatest(
        coalesce(object_generation, 0), deleted_generation,
        (SELECT max(ml_jobs.object_generation) FROM ml_jobs
            WHERE job_type = 'detect' AND ml_jobs.event_id IS NOT NULL AND media_ids[1] = gone.id)
    )
    FROM gone WHERE EXISTS (SELECT FROM events WHERE events.id = gone.event_id) ORDER BY id
    ON CONFLICT (media_id) DO UPDATE SET event_id = excluded.event_id, deleted_at = excluded.deleted_at,
        generation = greatest(deleted_photos.generation, excluded.generation), settled_at = NULL;
    -- By prefix: also what a detection that died left behind.
    INSERT INTO outbox (kind, object_prefix)
    SELECT 'delete_objects', 'events/' || event_id || '/' || id || '/' FROM gone
    WHERE EXISTS (SELECT FROM events WHERE events.id = gone.event_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_note_deleted_photos AFTER DELETE ON media
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trombi_note_deleted_photos();

-- At the end of the transaction, when whoever deleted the face has had the chance to see to the thumbnail: by its name,
-- or by the prefix of its photo or event.
CREATE FUNCTION trombi_erase_left_thumbnail() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    INSERT INTO outbox (kind, object_prefix)
    SELECT 'delete_objects', OLD.thumbnail_object
    WHERE NOT EXISTS (
        SELECT FROM outbox WHERE kind = 'delete_objects' AND due_at <= clock_timestamp() AND object_prefix IN (
            OLD.thumbnail_object,
            'events/' || OLD.event_id || '/' || OLD.media_id || '/',
            'events/' || OLD.event_id || '/'
        )
    );
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER trombi_erase_left_thumbnail AFTER DELETE ON faces
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.thumbnail_object <> '')
    EXECUTE FUNCTION trombi_erase_left_thumbnail();

-- ---------------------------------------------------------------- retention

-- Biometrics of one event that are older than they may be, up to ``most`` faces; how many there were.
CREATE FUNCTION erase_biometrics_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    of_event uuid;
    face_list uuid[];
    prefixes text[];
BEGIN
    SELECT event_id INTO of_event FROM faces
    WHERE created_at < statement_timestamp() - age
        AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
    ORDER BY created_at LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(thumbnail_object) FILTER (
        WHERE thumbnail_object IS NOT NULL), '{}') INTO face_list, prefixes
    FROM (
        SELECT id, thumbnail_object FROM faces
        WHERE event_id = of_event AND created_at < statement_timestamp() - age
            AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
        ORDER BY created_at LIMIT most
    ) AS old;
    IF cardinality(face_list) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM trombi_give_receipt(of_event, 'retention', trombi_strip_faces(of_event, face_list), prefixes);
    RETURN cardinality(face_list);
END
$$;

-- Addresses of invitations that were answered, or expired, longer ago than ``age``; how many there were.
CREATE FUNCTION erase_addresses_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    of_event uuid;
    old uuid[];
    addresses text[];
BEGIN
    SELECT event_id INTO of_event FROM invitations
    WHERE (email IS NOT NULL OR message IS NOT NULL) AND coalesce(answered_at, expires_at) < statement_timestamp() - age
    ORDER BY coalesce(answered_at, expires_at) LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT array_agg(id), array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL) INTO old, addresses
    FROM (
        SELECT id, email FROM invitations
        WHERE event_id = of_event AND (email IS NOT NULL OR message IS NOT NULL)
            AND coalesce(answered_at, expires_at) < statement_timestamp() - age
        ORDER BY created_at LIMIT most
    ) AS found;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE invitations SET email = NULL, message = NULL WHERE id = ANY(old);
    -- An address that was written to again since stays with the newer invitation.
    addresses := ARRAY(
        SELECT address FROM unnest(addresses) AS address
        WHERE NOT EXISTS (SELECT FROM invitations WHERE event_id = of_event AND email = address)
    );
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = of_event AND invitation_email = ANY(addresses);
    PERFORM trombi_forget_in_decisions(of_event, '{}', NULL, addresses);
    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    RETURN cardinality(old);
END
$$;

-- ---------------------------------------------------------------- audit and export

-- Count reads of biometrics. Sorted, so that two requests that read the same faces do not wait for each other.
CREATE FUNCTION trombi_note_reads(by_actor text, of_event uuid, of_what text, subjects uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
    INSERT INTO biometric_reads (actor, event_id, what, subject_id)
    SELECT DISTINCT by_actor, of_event, of_what, subject FROM unnest(subjects) AS subject
    -- Nobody reads as another.
    WHERE trombi_user_id() IS NULL OR by_actor = trombi_user_id()::text
    ORDER BY subject
    ON CONFLICT (event_id, day, actor, what, subject_id) DO UPDATE SET reads = biometric_reads.reads + 1
$$;

-- Whether the event has anything to do with the user.
CREATE FUNCTION trombi_concerns(of_user uuid, of_event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
    SELECT EXISTS (SELECT FROM event_members WHERE event_id = of_event AND user_id = of_user)
        OR EXISTS (SELECT FROM face_persons WHERE event_id = of_event AND linked_user_id = of_user)
        OR EXISTS (SELECT FROM media_tags JOIN media ON media.id = media_id
            WHERE media.event_id = of_event AND tagged_user_id = of_user)
        OR EXISTS (SELECT FROM invitations JOIN users ON trombi_address(users.email) = invitations.email
            WHERE invitations.event_id = of_event AND users.id = of_user)
$$;

-- As in 0009, but for the address's form.
CREATE FUNCTION trombi_export(of_user uuid, of_event uuid, embeddings boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    is_own boolean := trombi_user_id() IS NULL OR trombi_user_id() = of_user;
    account users;
    address text;
    person_list uuid[];
    face_list uuid[];
    result jsonb;
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, of_user);
    SELECT * INTO account FROM users WHERE id = of_user;
    address := trombi_address(account.email);
    IF account.id IS NULL OR NOT is_own AND NOT trombi_concerns(of_user, of_event) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO person_list FROM (
        SELECT unnest(trombi_persons_of(events.id, of_user, NULL, ARRAY[address])) AS id FROM events
        WHERE (of_event IS NULL OR events.id = of_event) AND (
            EXISTS (SELECT FROM face_persons WHERE event_id = events.id
                AND (linked_user_id = of_user OR invitation_email = address))
        )
    ) AS found;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO face_list FROM (
        SELECT id FROM faces WHERE face_person_id = ANY(person_list)
        UNION
        SELECT unnest(trombi_faces_of(media.event_id, of_user, '{}')) FROM media_tags
        JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = of_user AND (of_event IS NULL OR media.event_id = of_event)
    ) AS found;
    result := jsonb_build_object(
        'exported_at', clock_timestamp(),
        'account', jsonb_build_object('id', account.id, 'display_name', account.display_name,
            'created_at', account.created_at) || CASE WHEN is_own
                THEN jsonb_build_object('email', account.email) ELSE '{}' END,
        'memberships', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'event_name', events.name,
                'role', role) ORDER BY event_id), '[]')
            FROM event_members JOIN events ON events.id = event_id
            WHERE user_id = of_user AND (of_event IS NULL OR event_id = of_event)),
        'persons', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'event_id', event_id, 'status', status,
                'merged_into_id', merged_into_id, 'invitation_email', invitation_email, 'created_at', created_at,
                'updated_at', updated_at) ORDER BY created_at, id), '[]')
            FROM face_persons WHERE id = ANY(person_list)),
        'faces', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', faces.id, 'event_id', faces.event_id,
                'media_id', media_id, 'photo', media.object_name, 'person_id', face_person_id, 'bbox', bbox,
                'quality_score', quality_score, 'size_px', size_px, 'sharpness', sharpness, 'yaw', yaw,
                'pitch', pitch, 'roll', roll, 'placed_by_human', placed_by_human, 'thumbnail', thumbnail_object,
                'created_at', faces.created_at, 'updated_at', faces.updated_at)
                || CASE WHEN is_own AND embeddings THEN jsonb_build_object('embedding_model', embedding_model,
                    'embedding', to_jsonb(embedding::real[]), 'landmarks', landmarks) ELSE '{}' END
                ORDER BY faces.created_at, faces.id), '[]')
            FROM faces JOIN media ON media.id = media_id WHERE faces.id = ANY(face_list)),
        'tags', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', media.event_id, 'media_id', media.id,
                'photo', media.object_name, 'source', source, 'bbox', media_tags.bbox, 'face_id', face_id,
                'created_at', media_tags.created_at) ORDER BY media_tags.created_at, media.id), '[]')
            FROM media_tags JOIN media ON media.id = media_id
            WHERE tagged_user_id = of_user AND (of_event IS NULL OR media.event_id = of_event)),
        'suggestions', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', faces.event_id,
                'media_id', media_id, 'face_id', face_id, 'score', score) ORDER BY score DESC, face_id), '[]')
            FROM face_suggestions JOIN faces ON faces.id = face_id
            WHERE face_suggestions.face_person_id = ANY(person_list)),
        'invitations', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id,
                'person_id', face_person_id, 'email', email, 'message', message, 'language', language,
                'created_at', created_at, 'sent_at', sent_at, 'expires_at', expires_at, 'answer', answer,
                'answered_at', answered_at) ORDER BY created_at, id), '[]')
            FROM invitations WHERE (email = address OR face_person_id = ANY(person_list))
                AND (of_event IS NULL OR event_id = of_event)),
        'decisions', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'event_id', event_id, 'kind', kind,
                'made_by_you', coalesce(actor_id = of_user, false), 'undone', undone_by IS NOT NULL,
                'created_at', created_at) ORDER BY created_at, id), '[]')
            FROM decisions WHERE (of_event IS NULL OR event_id = of_event)
                AND (actor_id = of_user OR of_user = ANY(user_ids) OR person_ids && person_list
                    OR face_ids && face_list)),
        'consents', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'enabled', enabled,
                'text_version', text_version, 'at', at) ORDER BY at, id), '[]')
            FROM event_consents WHERE actor_id = of_user AND (of_event IS NULL OR event_id = of_event))
    );
    IF is_own THEN
        result := result || jsonb_build_object('reads', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('day', day, 'event_id', event_id, 'what', what,
                'reads', reads, 'by', CASE WHEN actor = of_user::text THEN 'you'
                    WHEN actor IN ('service', 'invitation') THEN actor ELSE 'an organiser' END)
                ORDER BY day, event_id, what), '[]')
            FROM (
                SELECT day, event_id, what, actor, sum(reads) AS reads FROM biometric_reads
                WHERE subject_id = ANY(person_list || face_list || of_user)
                    AND (of_event IS NULL OR event_id = of_event)
                GROUP BY day, event_id, what, actor
            ) AS summed
        ));
    END IF;
    RETURN result;
END
$$;

-- ================================================================ 0006_metrics
-- The metrics of operation, each a view that a dashboard reads as it is.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- Refused credentials, counted by day and reason: no address, no token, no user.
CREATE TABLE auth_failures (
    day date NOT NULL DEFAULT current_date,
    reason text NOT NULL,
    failures bigint NOT NULL DEFAULT 1 CHECK (failures > 0),
    PRIMARY KEY (day, reason)
);

CREATE VIEW metric_pending_jobs AS
SELECT job_type, priority, status, count(*) AS jobs, min(created_at) AS oldest_created_at
FROM ml_jobs WHERE status IN ('pending', 'processing')
GROUP BY job_type, priority, status;

CREATE VIEW metric_failure_rate AS
SELECT job_type,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) AS finished,
    count(*) FILTER (WHERE status = 'failed')::float8 / count(*) AS failure_rate
FROM ml_jobs WHERE status IN ('completed', 'failed') AND completed_at > now() - interval '24 hours'
GROUP BY job_type;

CREATE VIEW metric_failures_by_reason AS
SELECT job_type, error_code, count(*) AS jobs, max(completed_at) AS last_at
FROM ml_jobs WHERE status = 'failed' AND completed_at > now() - interval '24 hours'
GROUP BY job_type, error_code;

CREATE VIEW metric_processing_time AS
SELECT job_type,
    count(*) AS jobs,
    avg(extract(epoch FROM completed_at - started_at)) * 1000 AS mean_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - started_at)) * 1000 AS p95_ms
FROM ml_jobs WHERE status = 'completed' AND started_at IS NOT NULL AND completed_at > now() - interval '24 hours'
GROUP BY job_type;

-- A photo that was uploaded anew is not covered by the job of what was there before.
CREATE VIEW metric_event_coverage AS
SELECT events.id AS event_id,
    count(media.id) AS photos,
    count(job.id) AS processed,
    CASE WHEN count(media.id) = 0 THEN 1 ELSE count(job.id)::float8 / count(media.id) END AS coverage
FROM events
LEFT JOIN media ON media.event_id = events.id AND media.deleted_generation < coalesce(media.object_generation, 1)
LEFT JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id IS NOT NULL AND job.status = 'completed'
    AND job.media_ids[1] = media.id AND job.object_generation = coalesce(media.object_generation, 0)
GROUP BY events.id;

CREATE VIEW metric_detection_milliseconds AS
SELECT stage.key AS stage, count(*) AS photos, avg(stage.value::float8) AS mean_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY stage.value::float8) AS p95_ms
FROM ml_jobs, jsonb_each_text(ml_jobs.result -> 'milliseconds') AS stage
WHERE job_type = 'detect' AND status = 'completed' AND completed_at > now() - interval '24 hours'
GROUP BY stage.key;

CREATE VIEW metric_faces_per_photo AS
SELECT event_id, count(*) AS photos, avg((result ->> 'faces')::float8) AS mean_faces,
    max((result ->> 'faces')::integer) AS most_faces
FROM ml_jobs WHERE job_type = 'detect' AND status = 'completed' AND result ? 'faces'
GROUP BY event_id;

CREATE VIEW metric_noise_ratio AS
SELECT DISTINCT ON (event_id) event_id, faces, clusters, persons, noise_ratio, silhouette, churn, created_at
FROM cluster_runs ORDER BY event_id, created_at DESC;

CREATE VIEW metric_callback_latency AS
SELECT job_type, count(*) AS jobs,
    avg(extract(epoch FROM reported_at - completed_at)) * 1000 AS mean_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM reported_at - completed_at)) * 1000 AS p95_ms
FROM ml_jobs WHERE reported_at IS NOT NULL AND completed_at > now() - interval '24 hours'
GROUP BY job_type;

CREATE VIEW metric_outbox AS
SELECT kind, count(*) AS entries, min(created_at) AS oldest_created_at, max(attempts) AS most_attempts
FROM outbox WHERE due_at <= now() GROUP BY kind;

CREATE VIEW metric_dead_letters AS
SELECT topic, count(*) FILTER (WHERE replayed_at IS NULL) AS waiting, count(*) AS received, max(received_at) AS last_at
FROM dead_letters GROUP BY topic;

CREATE VIEW metric_auth_failures AS
SELECT day, reason, failures FROM auth_failures;

-- ================================================================ 0007_roles
-- Who may read and write what. Whoever migrates owns everything, and the functions connect as that role, which no policy
-- binds. Beside it there are
--   trombi_reviewer  in which admin works for a user: what it allowed is checked here a second time, by the database.
--                    The user of DATABASE_URL has to be a member of it, which the user that migrates becomes here
--   authenticated    users of the host app who reach these tables through PostgREST (Supabase): they see their own
--   service_role     the host app's server, on Supabase, where that role passes row level security
--   anon             nothing at all
-- Roles belong to the whole server, not to this database: those that are made here say so in a comment, so that
-- uninstalling drops no others.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['trombi_reviewer', 'authenticated'] LOOP
        IF to_regrole(wanted) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                EXECUTE format('COMMENT ON ROLE %I IS %L', wanted, 'made by Trombi');
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database of this server is migrated at the same time.
            END;
        END IF;
    END LOOP;
    -- Who creates a role may grant it, but not yet assume it (from Postgres 16 on); a superuser may assume any.
    IF NOT pg_has_role(
        'trombi_reviewer', CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END
    ) THEN
        GRANT trombi_reviewer TO CURRENT_USER;
    END IF;
END
$$;

-- ---------------------------------------------------------------- what policies ask

-- Once per statement (as a subquery of its own), not once per row. They run with the owner's rights, so that they are not
-- bound by the policies that call them; each answers about the user of the request alone.
CREATE FUNCTION trombi_organised_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members
        WHERE user_id = trombi_user_id() AND role IN ('owner', 'organizer') $$;
CREATE FUNCTION trombi_member_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members WHERE user_id = trombi_user_id() $$;
-- The persons that the user is, in events that they belong to.
CREATE FUNCTION trombi_own_persons() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(id), '{}') FROM face_persons
        WHERE linked_user_id = trombi_user_id() AND status = 'linked' AND event_id = ANY (trombi_member_events()) $$;
-- A tag is there only because somebody said so, also when a computer had suggested the face: who is tagged that way sees
-- the photo as everybody does who is tagged in it.
CREATE FUNCTION trombi_own_photos() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(media.id), '{}') FROM media_tags JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = trombi_user_id() AND media.event_id = ANY (trombi_member_events()) $$;
-- Who an organiser meets in the events that they organise: members, who is linked, tagged, or has decided something.
CREATE FUNCTION trombi_fellow_users() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$
        SELECT user_id FROM event_members WHERE event_id = ANY (trombi_organised_events())
        UNION SELECT linked_user_id FROM face_persons
            WHERE event_id = ANY (trombi_organised_events()) AND linked_user_id IS NOT NULL
        UNION SELECT tagged_user_id FROM media_tags JOIN media ON media.id = media_tags.media_id
            WHERE media.event_id = ANY (trombi_organised_events())
        UNION SELECT actor_id FROM decisions
            WHERE event_id = ANY (trombi_organised_events()) AND actor_id IS NOT NULL
        UNION SELECT trombi_user_id()
    $$;

-- Which event something belongs to, whoever asks: admin tells a stranger 404 and a member 403.
CREATE FUNCTION trombi_event_of_person(person_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM face_persons WHERE id = person_id $$;
CREATE FUNCTION trombi_event_of_face(face_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM faces WHERE id = face_id $$;
CREATE FUNCTION trombi_event_of_decision(decision_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM decisions WHERE id = decision_id $$;
CREATE FUNCTION trombi_event_of_media(media_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM media WHERE id = media_id $$;

-- ---------------------------------------------------------------- nobody but the owner, to begin with

-- Functions are everybody's when they are created, and default privileges of the database may grant new tables,
-- sequences and functions to anybody (Supabase's did, to anon too): take everything back from everyone. A later migration
-- has to do the same for what it creates; a test looks at every table, sequence and function.
DO $$
DECLARE granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT 'SCHEMA trombi' AS on_what, grantee FROM pg_namespace, aclexplode(nspacl)
        WHERE nspname = 'trombi' AND grantee <> nspowner
        UNION
        SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, pg_class.oid::regclass), grantee
        FROM pg_class, aclexplode(relacl)
        WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S') AND grantee <> relowner
        UNION SELECT format('FUNCTION %s', pg_proc.oid::regprocedure), grantee
        FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE pronamespace = 'trombi'::regnamespace AND grantee <> proowner
            -- Where pgvector is in this schema, an administrator may own its functions.
            AND pg_has_role(proowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', granted.on_what,
            CASE WHEN granted.grantee = 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
END
$$;

-- Row level security everywhere, also where no policy lets anybody in.
DO $$
DECLARE name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class
        WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;

-- ---------------------------------------------------------------- users through PostgREST

GRANT USAGE ON SCHEMA trombi TO authenticated;
GRANT EXECUTE ON FUNCTION trombi_user_id(), trombi_is_member(uuid), trombi_is_organiser(uuid), trombi_event_of_media(uuid)
    TO authenticated;

GRANT SELECT (id, email, display_name, created_at) ON users TO authenticated;
GRANT SELECT ON events, event_members, ml_jobs, media_tags, cluster_runs TO authenticated;
-- Neither what recognises a picture again, nor whose a person was.
GRANT SELECT (id, event_id, bucket, object_name, object_generation, deleted_generation, created_at) ON media
    TO authenticated;
GRANT SELECT (
    id, event_id, cluster_label, representative_face_id, cover_chosen_by_human, status, linked_user_id,
    invitation_email, merged_into_id, said_to_be_one, metadata, version, created_at, updated_at
) ON face_persons TO authenticated;
-- Never an embedding or a landmark: those columns are granted to nobody.
GRANT SELECT (
    id, media_id, event_id, face_person_id, placed_by_human, bbox, embedding_model, quality_score,
    sharpness, yaw, pitch, roll, size_px, created_at, updated_at
) ON faces TO authenticated;
CREATE POLICY own_row ON users FOR SELECT TO authenticated USING (id = trombi_user_id());
CREATE POLICY members_see_the_event ON events FOR SELECT TO authenticated USING (trombi_is_member(id));
CREATE POLICY members_see_membership ON event_members FOR SELECT TO authenticated USING (
    user_id = trombi_user_id() OR trombi_is_organiser(event_id)
);
CREATE POLICY members_see_photos ON media FOR SELECT TO authenticated USING (trombi_is_member(event_id));
CREATE POLICY organisers_see_jobs ON ml_jobs FOR SELECT TO authenticated USING (trombi_is_organiser(event_id));
CREATE POLICY organisers_see_persons ON face_persons FOR SELECT TO authenticated USING (
    trombi_is_organiser(event_id) OR (linked_user_id = trombi_user_id() AND trombi_is_member(event_id))
);
CREATE POLICY organisers_see_faces ON faces FOR SELECT TO authenticated USING (trombi_is_organiser(event_id));
CREATE POLICY own_tags_and_organisers ON media_tags FOR SELECT TO authenticated USING (
    (tagged_user_id = trombi_user_id() AND trombi_is_member(trombi_event_of_media(media_id)))
    OR trombi_is_organiser(trombi_event_of_media(media_id))
);
CREATE POLICY organisers_see_runs ON cluster_runs FOR SELECT TO authenticated USING (trombi_is_organiser(event_id));

-- ---------------------------------------------------------------- the host app's server

-- It writes what is the host app's, reads the rest but for biometrics, tokens and the bus, and erases. The export of a
-- user's data holds that user's biometrics where they are asked for (docs/host-app.md).
DO $$
BEGIN
    IF to_regrole('service_role') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA trombi TO service_role;
        GRANT SELECT, INSERT, UPDATE, DELETE ON users, events, event_members, media TO service_role;
        GRANT SELECT ON ml_jobs, event_counters, cluster_runs, face_persons, persons_shown, media_tags,
            face_suggestions,
            merge_suggestions, split_suggestions, face_rejections, decisions, event_consents, purge_receipts,
            metric_pending_jobs, metric_failure_rate, metric_failures_by_reason, metric_processing_time,
            metric_event_coverage, metric_detection_milliseconds, metric_faces_per_photo, metric_noise_ratio,
            metric_callback_latency, metric_outbox, metric_dead_letters, metric_auth_failures TO service_role;
        GRANT SELECT (
            id, media_id, event_id, object_generation, face_person_id, placed_by_human, bbox, embedding_model,
            quality_score, sharpness, yaw, pitch, roll, size_px, thumbnail_object, created_at, updated_at
        ) ON faces TO service_role;
        GRANT SELECT (
            id, event_id, face_person_id, email, message, language, invited_by, expires_at, sent_at, mail_problem,
            answered_at, answer, created_at
        ) ON invitations TO service_role;
        GRANT EXECUTE ON FUNCTION trombi_search_path(), trombi_address(text), trombi_folded_address(text),
            trombi_unicode_label(text), purge_face_data_for_user(uuid, uuid), purge_face_data_for_person(uuid),
            purge_face_data_for_address(text, uuid), trombi_set_consent(uuid, boolean, text), trombi_archive(uuid),
            trombi_export(uuid, uuid, boolean), trombi_user_id() TO service_role;
    END IF;
END
$$;

-- ---------------------------------------------------------------- the reviewer

GRANT USAGE ON SCHEMA trombi TO trombi_reviewer;
GRANT EXECUTE ON FUNCTION
    trombi_search_path(), trombi_user_id(), trombi_event_of_media(uuid), trombi_organised_events(),
    trombi_member_events(), trombi_own_persons(), trombi_own_photos(), trombi_fellow_users(),
    trombi_event_of_person(uuid), trombi_event_of_face(uuid), trombi_event_of_decision(uuid),
    -- What columns, triggers and lists need.
    is_normalised_box(jsonb), trombi_address(text), trombi_folded_address(text), trombi_unicode_label(text),
    trombi_folded(text), trombi_has_words(text, text), trombi_cover_score(real, real, real, real, integer),
    trombi_best_faces(uuid), trombi_best_cover(uuid), invitation_state(uuid),
    -- These run with the owner's rights, and check themselves who may.
    trombi_hold_rows(uuid, uuid[], uuid[], uuid[]), trombi_persons_alike(uuid, uuid[]),
    purge_face_data_for_user(uuid, uuid), purge_face_data_for_person(uuid), purge_face_data_for_address(text, uuid),
    trombi_set_consent(uuid, boolean, text), trombi_archive(uuid), trombi_note_reads(text, uuid, text, uuid[]),
    trombi_export(uuid, uuid, boolean)
TO trombi_reviewer;

-- ---------------------------------------------------------------- the host app's data

GRANT SELECT (id, email, display_name, created_at) ON users TO trombi_reviewer;
GRANT SELECT (
    id, name, creator_id, created_at, language, face_recognition_enabled, consent_text_version, consented_at, archived_at
) ON events TO trombi_reviewer;
GRANT SELECT (id, event_id, created_at, bucket, object_name, object_generation, deleted_generation) ON media
    TO trombi_reviewer;
-- To lock an event's or a photo's row; the policies refuse every change.
GRANT UPDATE (id) ON events, media TO trombi_reviewer;
GRANT SELECT, DELETE ON event_members TO trombi_reviewer;

CREATE POLICY reviewers_see_fellows ON users FOR SELECT TO trombi_reviewer USING (
    id IN (SELECT trombi_fellow_users())
);
CREATE POLICY reviewers_see_their_events ON events FOR SELECT TO trombi_reviewer USING (
    id = ANY ((SELECT trombi_member_events())::uuid[])
);
CREATE POLICY organisers_lock_events ON events FOR UPDATE TO trombi_reviewer
    USING (id = ANY ((SELECT trombi_organised_events())::uuid[])) WITH CHECK (false);
CREATE POLICY reviewers_see_members ON event_members FOR SELECT TO trombi_reviewer USING (
    user_id = (SELECT trombi_user_id()) OR event_id = ANY ((SELECT trombi_organised_events())::uuid[])
);
-- An accepted invitation makes a member; taking it back takes that back.
CREATE POLICY organisers_take_back_members ON event_members FOR DELETE TO trombi_reviewer USING (
    role = 'member' AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
);
CREATE POLICY reviewers_see_photos ON media FOR SELECT TO trombi_reviewer USING (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) OR id = ANY ((SELECT trombi_own_photos())::uuid[])
);
CREATE POLICY organisers_lock_photos ON media FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[])) WITH CHECK (false);

-- ---------------------------------------------------------------- faces and persons

-- Never an embedding, never landmarks.
GRANT SELECT (
    id, media_id, event_id, object_generation, face_person_id, placed_by_human, bbox, embedding_model, quality_score,
    sharpness, yaw, pitch, roll, size_px, thumbnail_object, created_at, updated_at
), UPDATE (face_person_id, placed_by_human, updated_at) ON faces TO trombi_reviewer;
CREATE POLICY reviewers_see_faces ON faces FOR SELECT TO trombi_reviewer USING (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    OR face_person_id = ANY ((SELECT trombi_own_persons())::uuid[])
);
CREATE POLICY organisers_place_faces ON faces FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

GRANT SELECT ON persons_shown TO trombi_reviewer;
GRANT SELECT, DELETE ON face_persons TO trombi_reviewer;
GRANT INSERT (id, event_id, status, metadata, representative_face_id, cover_chosen_by_human) ON face_persons
    TO trombi_reviewer;
GRANT UPDATE (
    representative_face_id, linked_user_id, status, invitation_email, merged_into_id, metadata, cover_chosen_by_human,
    said_to_be_one, former_user_hash, version, updated_at
) ON face_persons TO trombi_reviewer;
CREATE POLICY reviewers_see_persons ON face_persons FOR SELECT TO trombi_reviewer USING (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) OR id = ANY ((SELECT trombi_own_persons())::uuid[])
);
CREATE POLICY organisers_make_persons ON face_persons FOR INSERT TO trombi_reviewer
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_change_persons ON face_persons FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_unmake_persons ON face_persons FOR DELETE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

GRANT SELECT, INSERT, DELETE, UPDATE (tagged_by_user_id, source, bbox, face_id) ON media_tags TO trombi_reviewer;
CREATE POLICY reviewers_see_tags ON media_tags FOR SELECT TO trombi_reviewer USING (
    (tagged_user_id = (SELECT trombi_user_id()) AND media_id = ANY ((SELECT trombi_own_photos())::uuid[]))
    OR EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_tag ON media_tags FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
    AND (face_id IS NULL OR EXISTS (SELECT FROM faces WHERE faces.id = face_id AND faces.media_id = media_tags.media_id))
);
CREATE POLICY organisers_change_tags ON media_tags FOR UPDATE TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
) WITH CHECK (
    face_id IS NULL OR EXISTS (SELECT FROM faces WHERE faces.id = face_id AND faces.media_id = media_tags.media_id)
);
CREATE POLICY organisers_untag ON media_tags FOR DELETE TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);

-- ---------------------------------------------------------------- what people said, and what they are asked
-- These tables name a face and a person: both have to be of an event that the user organises.

GRANT SELECT, INSERT, DELETE ON face_rejections, face_suggestions TO trombi_reviewer;
CREATE POLICY organisers_see_rejections ON face_rejections FOR SELECT TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
CREATE POLICY organisers_reject ON face_rejections FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM faces JOIN face_persons ON face_persons.event_id = faces.event_id
        WHERE faces.id = face_id AND face_persons.id = face_rejections.face_person_id
            AND faces.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_take_back_rejections ON face_rejections FOR DELETE TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
CREATE POLICY organisers_see_suggestions ON face_suggestions FOR SELECT TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
CREATE POLICY organisers_put_suggestions_back ON face_suggestions FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM faces JOIN face_persons ON face_persons.event_id = faces.event_id
        WHERE faces.id = face_id AND face_persons.id = face_suggestions.face_person_id
            AND faces.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_answer_suggestions ON face_suggestions FOR DELETE TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
GRANT SELECT, INSERT, DELETE ON merge_suggestions TO trombi_reviewer;
CREATE POLICY organisers_see_merges ON merge_suggestions FOR SELECT TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM face_persons WHERE id = person_a_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_put_merges_back ON merge_suggestions FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM face_persons AS one JOIN face_persons AS other ON other.event_id = one.event_id
        WHERE one.id = person_a_id AND other.id = person_b_id
            AND one.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_answer_merges ON merge_suggestions FOR DELETE TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM face_persons WHERE id = person_a_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);

GRANT SELECT ON split_suggestions TO trombi_reviewer;
CREATE POLICY organisers_see_splits ON split_suggestions FOR SELECT TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM face_persons WHERE id = face_person_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);

-- The ledger only grows, and nobody signs as another.
GRANT SELECT, INSERT, UPDATE (undone_by) ON decisions TO trombi_reviewer;
CREATE POLICY organisers_see_decisions ON decisions FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_decide ON decisions FOR INSERT TO trombi_reviewer WITH CHECK (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND actor_id = (SELECT trombi_user_id())
);
CREATE POLICY organisers_undo ON decisions FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- Never the token's hash.
GRANT SELECT (
    id, event_id, face_person_id, email, invited_by, expires_at, answered_at, answer, created_at, language, message,
    sent_at, mail_problem
), INSERT, DELETE, UPDATE (face_person_id, expires_at, answered_at, answer) ON invitations TO trombi_reviewer;
CREATE POLICY organisers_see_invitations ON invitations FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_invite ON invitations FOR INSERT TO trombi_reviewer WITH CHECK (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND invited_by = (SELECT trombi_user_id())
    AND trombi_event_of_person(face_person_id) = event_id
);
CREATE POLICY organisers_change_invitations ON invitations FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (
        event_id = ANY ((SELECT trombi_organised_events())::uuid[])
        AND trombi_event_of_person(face_person_id) = event_id
    );
CREATE POLICY organisers_take_back_invitations ON invitations FOR DELETE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- Consent is changed, faces are purged and reads are noted by functions with the owner's rights (0005), which check
-- themselves who may.
GRANT SELECT ON event_consents TO trombi_reviewer;
CREATE POLICY organisers_see_consents ON event_consents FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
GRANT SELECT ON purge_receipts TO trombi_reviewer;
CREATE POLICY organisers_see_receipts ON purge_receipts FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- ---------------------------------------------------------------- jobs and bookkeeping

GRANT SELECT, INSERT (job_type, event_id, media_ids, object_generation, priority, released_at), UPDATE (
    status, run, attempts, error_code, error, result, priority, released_at, started_at, completed_at, reported_at
) ON ml_jobs TO trombi_reviewer;
CREATE POLICY organisers_see_their_jobs ON ml_jobs FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_ask_for_jobs ON ml_jobs FOR INSERT TO trombi_reviewer WITH CHECK (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND job_type = 'detect' AND status = 'pending'
    AND trombi_event_of_media(media_ids[1]) = event_id
);
CREATE POLICY organisers_ask_for_jobs_anew ON ml_jobs FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND status = 'pending');

GRANT SELECT, INSERT (event_id, decision_version), UPDATE (decision_version, changed_photos, first_change_at)
    ON event_counters TO trombi_reviewer;
CREATE POLICY organisers_see_counters ON event_counters FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_start_counters ON event_counters FOR INSERT TO trombi_reviewer
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_count ON event_counters FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

GRANT SELECT ON cluster_runs TO trombi_reviewer;
CREATE POLICY organisers_see_their_runs ON cluster_runs FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- Messages about their own events; what is to be deleted is asked for by triggers, which have the owner's rights.
GRANT INSERT (kind, topic, data, attributes) ON outbox TO trombi_reviewer;
CREATE POLICY organisers_publish ON outbox FOR INSERT TO trombi_reviewer WITH CHECK (
    kind = 'publish' AND (data ->> 'event_id')::uuid = ANY ((SELECT trombi_organised_events())::uuid[])
);

GRANT SELECT, INSERT (caller, key, fingerprint, event_id), UPDATE (status, answer, event_id) ON idempotency_keys
    TO trombi_reviewer;
CREATE POLICY own_keys ON idempotency_keys TO trombi_reviewer
    USING (caller = (SELECT trombi_user_id())::text) WITH CHECK (caller = (SELECT trombi_user_id())::text);

INSERT INTO trombi.schema_migrations (version) VALUES ('0001'), ('0002'), ('0003'), ('0004'), ('0005'), ('0006'), ('0007');
COMMIT;
